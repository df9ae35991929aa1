-- Reconstructions of a sample as tokens are added, for pages that never run the model.

create table progressive (
    weights_hash text not null check (length(weights_hash) = 64),
    sample_id integer not null references sample (id) on delete cascade,
    protocol_id integer not null references protocol (id), -- that of the sample's curves
    kept_tokens integer not null check (kept_tokens > 0),  -- of every block, each behind earlier ones that keep as many
    reconstruction text not null references artifact (hash),
    primary key (weights_hash, sample_id, protocol_id, kept_tokens)
) strict, without rowid;
