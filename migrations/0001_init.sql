-- The workbench's results, version 1.
--
--   experiment ─┬─ training_run ── training_point
--               └─ trial ── trial_sample ── trial_block, measurement, summary
--   dataset ── source ── sample           (what was looked at)
--   curve ── curve_point                  (distortion against kept tokens, measured once, replayed often)
--
-- Keys are blake3 hashes (64 hex digits) of what decides the numbers: a row is found again exactly when nothing that
-- could change it has changed. Times are UTC, RFC 3339. Provenance stands beside a row and is never part of its key.

create table experiment (
    id integer primary key,
    key text not null unique check (length(key) = 64),   -- of the resolved configuration
    name text not null,
    question text not null,                              -- the file's leading question
    source text not null,                                -- the TOML as it was written
    config text not null check (json_valid(config)),     -- the resolved configuration
    created_at text not null
) strict;
create index experiment_name on experiment (name, id);

-- ── What was looked at ────────────────────────────────────────────────────────────────────────────────────────────

create table dataset (
    id integer primary key,
    key text not null unique check (length(key) = 64),   -- of its split and its sources' hashes, in order
    name text not null,                                  -- the folder as the experiment named it
    split text not null check (split in ('train', 'test')),
    sources integer not null check (sources >= 0)
) strict;

-- One file: a photograph or a video. Samples of one source are not independent: intervals are clustered by source.
create table source (
    id integer primary key,
    dataset_id integer not null references dataset (id) on delete cascade,
    hash text not null check (length(hash) = 64),        -- of the file's bytes
    name text not null,                                  -- its path below the dataset's folder
    width integer not null check (width > 0),
    height integer not null check (height > 0),
    frames integer not null check (frames > 0),
    unique (dataset_id, name)
) strict;

-- One fixed crop of one source, after resizing: what a trial evaluates.
create table sample (
    id integer primary key,
    key text not null unique check (length(key) = 64),   -- of dataset, source, crop and its pixels
    source_id integer not null references source (id) on delete cascade,
    ordinal integer not null check (ordinal >= 0),       -- which crop of its source
    x integer not null,
    y integer not null,
    width integer not null check (width > 0),
    height integer not null check (height > 0),
    frames integer not null check (frames > 0),
    blocks integer not null check (blocks > 0),
    artifact text references artifact (hash)             -- the crop itself
) strict;
create index sample_source on sample (source_id, ordinal);

-- ── How it was measured ───────────────────────────────────────────────────────────────────────────────────────────

create table metric (
    id integer primary key,
    name text not null,
    version integer not null check (version > 0),
    unit text not null,
    direction text not null check (direction in ('higher', 'lower', 'neither')),
    noisy integer not null check (noisy in (0, 1)),      -- 1: another run of the same trial may differ (time)
    unique (name, version)
) strict;

-- Crop, range, rounding, window, averaging: numbers of different protocols never share a table.
create table protocol (
    id integer primary key,
    key text not null unique check (length(key) = 64),
    description text not null check (json_valid(description))
) strict;

create table provenance (
    id integer primary key,
    key text not null unique check (length(key) = 64),
    version text not null,                               -- of elastictok
    git_commit text,
    git_dirty integer check (git_dirty in (0, 1)),
    rustc text not null,
    cpu text not null,
    cpu_features text not null,
    threads integer not null check (threads > 0),
    os text not null,
    host text not null                                   -- a hash: results may be shared, host names need not be
) strict;

-- A file beside the database, named by its content.
create table artifact (
    hash text primary key check (length(hash) = 64),
    media_type text not null,
    bytes integer not null check (bytes >= 0)
) strict, without rowid;

-- ── Training ──────────────────────────────────────────────────────────────────────────────────────────────────────

create table training_run (
    id integer primary key,
    key text not null unique check (length(key) = 64),   -- of model, training, seed and data
    config text not null check (json_valid(config)),
    seed integer not null,
    dataset_id integer not null references dataset (id),
    provenance_id integer references provenance (id),
    status text not null default 'pending' check (status in ('pending', 'running', 'stopped', 'failed', 'done')),
    step integer not null default 0 check (step >= 0),
    steps integer not null check (steps > 0),
    parameters integer not null check (parameters > 0),
    seconds real not null default 0,                     -- spent training, over all its starts
    weights_hash text check (length(weights_hash) = 64), -- of the finished weights
    checkpoint text,                                     -- below the database's folder
    error text,
    started_at text,
    finished_at text
) strict;

create table training_point (
    training_run_id integer not null references training_run (id) on delete cascade,
    step integer not null check (step > 0),
    loss real not null,
    mse real not null,
    kl real not null,
    learning_rate real not null,
    gradient_norm real not null,
    tokens_per_second real not null,
    primary key (training_run_id, step)
) strict, without rowid;

create table experiment_training (
    experiment_id integer not null references experiment (id) on delete cascade,
    training_run_id integer not null references training_run (id),
    ordinal integer not null check (ordinal >= 0),       -- its place in the expanded experiment; a place has one run,
    variant text not null,                               -- but two variants may share a run
    primary key (experiment_id, ordinal)
) strict, without rowid;
create index experiment_training_run on experiment_training (training_run_id);

-- ── Distortion curves ─────────────────────────────────────────────────────────────────────────────────────────────

-- Distortion of one block against its kept tokens, behind a history: the kept counts of the blocks before it.
create table curve (
    id integer primary key,
    weights_hash text not null check (length(weights_hash) = 64),
    sample_id integer not null references sample (id) on delete cascade,
    block integer not null check (block >= 0),
    history text not null check (json_valid(history)),   -- kept counts of the earlier blocks, [] for the first
    protocol_id integer not null references protocol (id),
    seconds real not null,                               -- to measure it, all counts together
    unique (weights_hash, sample_id, block, history, protocol_id)
) strict;

create table curve_point (
    curve_id integer not null references curve (id) on delete cascade,
    kept_tokens integer not null check (kept_tokens > 0),
    distortion real not null,                            -- MSE in [-1, 1] after clipping: what a threshold is compared to
    psnr real not null,
    ssim real not null,
    primary key (curve_id, kept_tokens)
) strict, without rowid;

-- ── Trials ────────────────────────────────────────────────────────────────────────────────────────────────────────

-- One trained variant × threshold × strategy over one test set.
create table trial (
    id integer primary key,
    key text not null unique check (length(key) = 64),   -- of config, data, weights, seed and evaluator version
    config text not null check (json_valid(config)),
    training_run_id integer references training_run (id), -- null for a codec, which nobody trained
    dataset_id integer not null references dataset (id),
    protocol_id integer not null references protocol (id),
    provenance_id integer references provenance (id),
    weights_hash text check (length(weights_hash) = 64),
    evaluator_version integer not null,
    strategy text not null,
    threshold real,                                      -- null where the strategy asks for none
    seed integer not null,
    replayed integer not null check (replayed in (0, 1)),-- 1: probes were answered from stored curves
    status text not null default 'pending' check (status in ('pending', 'running', 'failed', 'done')),
    samples integer not null check (samples > 0),        -- how many it has when done
    error text,
    started_at text,
    finished_at text
) strict;
create index trial_training on trial (training_run_id);
create index trial_status on trial (status, id);

create table experiment_trial (
    experiment_id integer not null references experiment (id) on delete cascade,
    trial_id integer not null references trial (id),
    ordinal integer not null check (ordinal >= 0),       -- its place in the expanded experiment; a newer evaluator's
    variant text not null,                               -- trial takes the place, so that old numbers never mix in
    primary key (experiment_id, ordinal)
) strict, without rowid;
create index experiment_trial_trial on experiment_trial (trial_id);

create table trial_sample (
    trial_id integer not null references trial (id) on delete cascade,
    sample_id integer not null references sample (id),
    reconstruction text references artifact (hash),
    primary key (trial_id, sample_id)
) strict, without rowid;
create index trial_sample_sample on trial_sample (sample_id);

-- What the search decided for one block and what it spent on it.
create table trial_block (
    trial_id integer not null,
    sample_id integer not null,
    block integer not null check (block >= 0),
    kept_tokens integer not null check (kept_tokens > 0),
    distortion real not null,                            -- of the final reconstruction
    threshold_met integer check (threshold_met in (0, 1)), -- on the final reconstruction; null without a threshold
    encoder_evaluations integer not null,
    decoder_evaluations integer not null,
    commit_evaluations integer not null,
    final_evaluations integer not null,
    sequential_depth integer not null,
    flops real not null,
    seconds real,                                        -- null where the search was replayed
    probes text not null check (json_valid(probes)),     -- [[kept_tokens, distortion], …] in the order asked
    primary key (trial_id, sample_id, block),
    foreign key (trial_id, sample_id) references trial_sample (trial_id, sample_id) on delete cascade
) strict, without rowid;

-- One metric of one sample, over all its blocks.
create table measurement (
    trial_id integer not null,
    sample_id integer not null,
    metric_id integer not null references metric (id),
    value real not null,
    primary key (trial_id, sample_id, metric_id),
    foreign key (trial_id, sample_id) references trial_sample (trial_id, sample_id) on delete cascade
) strict, without rowid;

-- A trial's samples in one row a metric, written by the transaction that ends it: pages never scan measurements.
create table summary (
    trial_id integer not null references trial (id) on delete cascade,
    metric_id integer not null references metric (id),
    samples integer not null check (samples > 0),
    mean real not null,
    deviation real not null,                             -- sample standard deviation, 0 for one sample
    low real,                                            -- interval of the mean, clustered by source
    high real,
    minimum real not null,
    maximum real not null,
    primary key (trial_id, metric_id)
) strict, without rowid;

-- ── Running, watching, remembering ────────────────────────────────────────────────────────────────────────────────

-- Who is working on what. A holder that no longer lives loses its lease at once.
create table lease (
    subject text primary key,                            -- 'training_run:3', 'trial:17'
    host text not null,
    pid integer not null,
    process_started integer not null,                    -- clock ticks since boot: tells a reused pid apart
    acquired_at text not null
) strict, without rowid;

-- Progress for other processes; ids only grow, so a reader resumes behind the last one it saw.
create table event (
    id integer primary key autoincrement,
    at text not null,
    experiment_id integer references experiment (id) on delete cascade,
    training_run_id integer references training_run (id) on delete cascade,
    trial_id integer references trial (id) on delete cascade,
    kind text not null,
    payload text not null check (json_valid(payload))
) strict;

create table tag (
    experiment_id integer not null references experiment (id) on delete cascade,
    name text not null check (length(name) between 1 and 64),
    primary key (experiment_id, name)
) strict, without rowid;

create table note (
    id integer primary key,
    experiment_id integer not null references experiment (id) on delete cascade,
    trial_id integer references trial (id) on delete cascade,
    text text not null,
    written_at text not null
) strict;
create index note_experiment on note (experiment_id, id);
