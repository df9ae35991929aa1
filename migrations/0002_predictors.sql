-- Searches that ask a predictor, and what the codes of kept tokens say about the codebook.

alter table trial_block add column largest_batch integer;      -- counts reconstructed together, at most
alter table trial_block add column prediction_flops real;      -- of the predictor; null where none was asked
alter table trial_block add column prediction_seconds real;    -- null where none was asked, or not timed
alter table trial_block add column codes blob;                 -- of the kept tokens: 32 bits each, little-endian; null for a VAE

-- A neural regressor, trained on stored curves of training pictures of one model.
create table predictor (
    id integer primary key,
    key text not null unique check (length(key) = 64),         -- of weights, curves, configuration and criterion
    config text not null check (json_valid(config)),
    weights_hash text not null check (length(weights_hash) = 64), -- of the model it predicts
    dataset_id integer not null references dataset (id),       -- whose crops it was trained on
    provenance_id integer references provenance (id),
    curves integer not null check (curves > 0),
    sources integer not null check (sources > 0),              -- photographs these curves are of
    parameters integer not null check (parameters > 0),
    seconds real not null,                                     -- to train it, curves not included
    file text not null,                                        -- below the database's folder
    file_hash text not null check (length(file_hash) = 64),    -- of its weights
    finished_at text not null
) strict;
