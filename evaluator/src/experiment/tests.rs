//! What an experiment file means.

use super::*;
use engine::{Bottleneck, train::TrainConfig};
use std::path::Path;

fn parse(text: &str, overrides: &Overrides) -> Result<Experiment, ExperimentError> {
    Experiment::parse(Path::new("folder/test.toml"), text, overrides)
}

fn read(text: &str) -> Experiment {
    parse(text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn refuse(text: &str) -> String {
    parse(text, &[]).unwrap_err().to_string()
}

fn set(key: &str, value: &str) -> Vec<(String, String)> {
    vec![(key.to_owned(), value.to_owned())]
}

#[test]
fn a_file_that_says_nothing_is_one_variant_of_defaults() {
    let experiment = read("name = \"a\"");
    assert_eq!((experiment.seeds.as_slice(), experiment.variants.len()), (&[0][..], 1));
    let variant = &experiment.variants[0];
    assert_eq!(variant.name, "default");
    assert_eq!(variant.train, TrainConfig::default());
    assert_eq!(variant.data.train, Path::new("folder/data/photos/train"));
    assert_eq!((variant.range().min(), variant.range().max()), (4, 64));
}

#[test]
fn variants_override_keys_and_leave_the_others_alone() {
    let experiment = read(
        "name = \"a\"\n[model]\nwidth = 48\n[[variant]]\nname = \"x\"\nmodel.bottleneck = \"vae\"\n\
         [[variant]]\nname = \"y\"\n\"model.heads\" = 2\n",
    );
    let [x, y] = &experiment.variants[..] else { panic!("two variants") };
    assert_eq!((x.model.width, x.model.heads, &x.model.bottleneck), (48, 4, &Bottleneck::Vae { dim: 8 }));
    assert_eq!((y.model.width, y.model.heads), (48, 2));
    assert!(matches!(y.model.bottleneck, Bottleneck::Fsq { .. }));
}

#[test]
fn a_grid_makes_every_combination() {
    let experiment = read(
        "name = \"a\"\n[grid]\ntrain.batch = [8, 16]\nmodel.bottleneck = [\"fsq\", \"vae\"]\n\
         [[variant]]\nname = \"x\"\n[[variant]]\nname = \"y\"\ntrain.steps = 70\n",
    );
    let names: Vec<&str> = experiment.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(names.len(), 8);
    assert!(names.contains(&"x bottleneck=fsq batch=8") || names.contains(&"x batch=8 bottleneck=fsq"), "{names:?}");
    let y: Vec<_> = experiment.variants.iter().filter(|variant| variant.name.starts_with('y')).collect();
    assert!(y.len() == 4 && y.iter().all(|variant| variant.train.steps == 70));
}

#[test]
fn overrides_win_over_variants() {
    let text = "name = \"a\"\n[[variant]]\nname = \"x\"\ntrain.steps = 70\n[[variant]]\nname = \"y\"\n";
    let experiment = parse(text, &set("train.steps", "90")).unwrap();
    assert!(experiment.variants.iter().all(|variant| variant.train.steps == 90));
    assert_eq!(parse(text, &set("seeds", "[3, 4]")).unwrap().seeds, [3, 4]);
    assert_eq!(parse(text, &set("name", "other")).unwrap().name, "other");
    assert!(parse(text, &set("seeds", "none")).unwrap_err().to_string().starts_with("--set seeds: "));
    // A bare word needs no quotes, and a folder is taken as it is typed.
    let experiment = parse(text, &set("model.bottleneck", "vae")).unwrap();
    assert_eq!(experiment.variants[0].model.bottleneck, Bottleneck::Vae { dim: 8 });
    let experiment = parse(text, &set("data.train", "'''my photos'''")).unwrap();
    assert_eq!(experiment.variants[0].data.train, Path::new("my photos"));
}

#[test]
fn a_fixed_budget_is_asked_only_for_its_own_count() {
    let experiment = read("name = \"a\"\n[train]\nbudget = 0.25\n[sweep]\nstrategies = [\"full\", \"binary\"]\n");
    let names: Vec<String> = experiment.variants[0].sweep.strategies.iter().map(|s| s.name()).collect();
    assert_eq!(names, ["fixed(0.25)"]);
}

#[test]
fn the_stored_configuration_holds_defaults_and_overrides() {
    let config = parse("name = \"a\"", &set("train.batch", "5")).unwrap().config();
    assert_eq!(config["variants"][0]["train"]["batch"], 5);
    assert_eq!(config["variants"][0]["model"]["width"], 96);
    assert_eq!(config["variants"][0]["sweep"]["strategies"][2], "binary");
}

#[test]
fn what_decides_training_does_not_depend_on_what_is_asked_later() {
    let one = read("name = \"a\"\n[sweep]\nthresholds = [0.1]\n");
    let other = read("name = \"b\"\n[sweep]\nthresholds = [0.2]\nstrategies = [\"full\"]\n");
    assert_eq!(one.variants[0].training_config(), other.variants[0].training_config());
    let third = read("name = \"a\"\n[train]\nsteps = 7\nwarmup_steps = 2\n");
    assert_ne!(one.variants[0].training_config(), third.variants[0].training_config());
}

#[test]
fn how_many_pictures_are_kept_decides_no_key() {
    let text = "name = \"a\"";
    let of = |value| parse(text, &set("sweep.progressive", value)).unwrap();
    let samples: Vec<usize> = ["0", "3", "all"].map(|value| of(value).variants[0].sweep.progressive).to_vec();
    assert_eq!((samples, read(text).variants[0].sweep.progressive), (vec![0, 3, usize::MAX], 8));
    assert_eq!(of("all").config(), read(text).config());
    let error = parse(text, &set("sweep.progressive", "some")).unwrap_err().to_string();
    assert!(error.contains("\"all\", or a number of samples"), "{error}");
}

#[test]
fn unknown_keys_are_found_wherever_they_stand() {
    for (text, expected) in [
        ("name = \"a\"\n\nsede = 3\n", "folder/test.toml:3: unknown key `sede`; did you mean `seeds`?"),
        (
            "name = \"a\"\n[train]\nlearning_rte = 3\n",
            "folder/test.toml:3: unknown key `train.learning_rte`; did you mean `train.learning_rate`?",
        ),
        (
            "name = \"a\"\n[[variant]]\nname = \"x\"\nmodel.widht = 3\n",
            "folder/test.toml:4: unknown key `model.widht`; did you mean `model.width`?",
        ),
        (
            "name = \"a\"\n[grid]\n\"model.head\" = [1]\n",
            "folder/test.toml:3: unknown key `model.head`; did you mean `model.heads`?",
        ),
    ] {
        assert_eq!(refuse(text), expected);
    }
    let error = parse("name = \"a\"", &set("train.stpes", "3")).unwrap_err().to_string();
    assert_eq!(error, "--set: unknown key `train.stpes`; did you mean `train.steps`?");
}

#[test]
fn what_cannot_be_is_said_with_its_variant() {
    for (text, expected) in [
        ("name = \"a b\"", "name must begin with a letter or digit"),
        ("name = \"a\"\nseeds = []", "seeds must hold at least one number"),
        ("name = \"a\"\n[[variant]]\n", "line 2"),
        ("name = \"a\"\n[[variant]]\nname = \"b\"\nmodel.width = \"wide\"\n", "line 4"),
        ("name = \"a\"\n[train]\nbudget = \"elasic\"\n", "or the share of tokens to keep, like 0.25"),
        (
            "name = \"a\"\n[[variant]]\nname = \"x\"\n[[variant]]\nname = \"x\"\n",
            "variant x: two variants have this name",
        ),
        ("name = \"a\"\n[grid]\nmodel.width = 3\n", "[grid]: model.width must be a list"),
        ("name = \"a\"\n[model]\nwidth = 97\n", "variant default: model.heads = 4: heads of even width must divide"),
        ("name = \"a\"\n[train]\nbudget = \"elasic\"\n", "line 3"),
        ("name = \"a\"\n[train]\nbudget = 1.5\n", "train.budget = 1.5: a fixed share must be above 0 and at most 1"),
    ] {
        let message = refuse(text);
        assert!(message.contains(expected), "{text:?} gave {message:?}, expected {expected:?}");
    }
}

/// A block has 64 tokens.
const STAGED: &str = "name = \"a\"\n[train]\nbatch = 8\nlearning_rate = 2e-3\nwarmup_steps = 5\n\
     [[stage]]\ncontext = 128\nsteps = 30\n[[stage]]\ncontext = 512\nsteps = 10\nlearning_rate = 1e-3\n";

#[test]
fn stages_keep_the_tokens_of_a_step_and_say_how_long_training_is() {
    let variant = &read(STAGED).variants[0];
    let stages: Vec<_> = variant.train.stages.iter().map(|s| (s.context, s.steps, s.learning_rate, s.batch)).collect();
    assert_eq!(stages, [(128, 30, 2e-3, 8), (512, 10, 1e-3, 2)]);
    assert_eq!((variant.train.steps, variant.data.blocks), (40, 8));
    let config = variant.training_config();
    assert_eq!((&config["train"]["stages"][1]["context"], config.get("blocks")), (&serde_json::json!(512), None));
    // A run of the first stages has the key that a variant of these alone has.
    let short = parse(STAGED, &set("stage", "[{ context = 128, steps = 30 }]")).unwrap();
    assert_eq!(variant.first_stages(1).training_config(), short.variants[0].training_config());
    // Without stages nothing speaks of them.
    let plain = read("name = \"a\"\n[data]\nblocks = 8\n").variants[0].training_config();
    assert!(plain["train"].get("stages").is_none() && plain["blocks"] == 8);
}

#[test]
fn a_stage_is_overridden_as_a_whole_or_by_its_number() {
    let steps = |experiment: &Experiment| {
        let of = |variant: &Variant| variant.train.stages.iter().map(|stage| stage.steps).collect::<Vec<_>>();
        experiment.variants.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(steps(&parse(STAGED, &set("stage.2.steps", "20")).unwrap()), [[30, 20]]);
    let variants = "[[variant]]\nname = \"x\"\n[[variant.stage]]\ncontext = 64\nsteps = 7\n\
                    [[variant]]\nname = \"y\"\n\"stage.1.steps\" = 9\n[[variant]]\nname = \"z\"\nstage = []\n";
    let text = STAGED.to_owned() + variants;
    assert_eq!(steps(&read(&text)), [vec![7], vec![9, 10], vec![]]);
    let grid = STAGED.to_owned() + "[grid]\n\"stage.2.batch\" = [1, 2]\n";
    assert_eq!(read(&grid).variants.len(), 2);
    let error = parse(&text, &set("stage.3.steps", "1")).unwrap_err().to_string();
    assert_eq!(error, "variant x: stage.3.steps = 1: there are 1 stages");
}

#[test]
fn a_stage_that_cannot_be_is_named() {
    for (wrong, right, expected) in [
        ("512", "500\nbatch = 1", "variant default: stage 2: context = 500: must be whole blocks of 64 tokens"),
        ("512", "768", "stage 2: context = 768: no whole number of sequences has the 1024 tokens"),
        ("steps = 10", "steps = 0", "stage 2: steps = 0: must be from 1"),
        ("steps = 10", "steps = 4", "stage 2: steps = 4: must be at least train.warmup_steps = 5"),
        ("1e-3", "0.0", "stage 2: learning_rate = 0: must be a positive number"),
        (
            "context = 512",
            "contxt = 512",
            "folder/test.toml:10: unknown key `stage.contxt`; did you mean `stage.context`?",
        ),
        ("steps = 10", "batch = 1", "missing field `steps`"),
        ("batch = 8\n", "batch = 8\nsteps = 50\n", "train.steps = 50: leave it out, every stage has its own"),
    ] {
        let message = refuse(&STAGED.replace(wrong, right));
        assert!(message.contains(expected), "{message:?}, expected {expected:?}");
    }
    let blocks = STAGED.to_owned() + "[data]\nblocks = 2\n";
    assert!(refuse(&blocks).contains("data.blocks = 2: leave it out"));
    let error = parse(STAGED, &set("stage.0.steps", "3")).unwrap_err().to_string();
    assert!(error.starts_with("--set: unknown key `stage.0.steps`"), "{error}");
}

/// A small network of the perceptual fixtures, as a TOML string.
fn network(file: &str) -> String {
    format!("\"{}/../tests/fixtures/perceptual/{file}\"", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_perceptual_network_is_named_by_its_content_in_every_key() {
    let alex = network("st_lpips_alex.pth");
    let text = format!(
        "name = \"a\"\n[perceptual]\nmetric = [{alex}]\n[[variant]]\nname = \"x\"\n\
         [[variant]]\nname = \"y\"\nperceptual.loss = [{}, {}]\ndata.resize = 96\ndata.crop = 80\n",
        network("lpips_vgg.pth"),
        network("lpips_vgg_heads.pth")
    );
    let experiment = read(&text);
    let [x, y] = &experiment.variants[..] else { panic!("two variants") };
    assert_eq!(x.train.perceptual, None);
    assert_eq!(x.judge(), y.judge());
    let (judge, loss) = (x.judge().unwrap(), y.train.perceptual.as_ref().unwrap());
    // As they are, and large ones as the reference scales them.
    assert_eq!((loss.weight, loss.side), (0.1, 80));
    let side = |keys: &str| {
        let read =
            read(&format!("name = \"a\"\n[data]\nresize = 512\ncrop = 512\n[perceptual]\nloss = [{alex}]\n{keys}"));
        read.variants[0].train.perceptual.as_ref().unwrap().side
    };
    assert_eq!((side(""), side("loss_side = 300"), side("loss_side = \"frame\"")), (224, 300, 224));
    assert_eq!(loss.network, y.perceptual.loss.as_ref().unwrap().key().to_hex().to_string());
    assert_ne!(loss.network, judge.weights.to_string());
    assert_ne!(x.training_config(), y.training_config());
    assert!(experiment.config()["variants"][0]["perceptual"]["weights"] == judge.weights.to_string());
    // Without, nothing says so: what was run before keeps its key.
    let plain = read("name = \"a\"").config().to_string();
    assert!(!plain.contains("perceptual"), "{plain}");
}

#[test]
fn a_perceptual_network_that_is_missing_or_too_large_for_the_pictures_is_refused_at_once() {
    let alex = network("st_lpips_alex.pth");
    let refused = |perceptual: &str| refuse(&format!("name = \"a\"\n[data]\ncrop = 16\n[perceptual]\n{perceptual}\n"));
    let message = refused("metric = [\"nowhere.pth\"]");
    assert!(message.contains("cannot read the perceptual network folder/nowhere.pth"), "{message}");
    let message = refused(&format!("metric = [{alex}]"));
    assert!(message.contains("data.crop = 16: the perceptual network sees pictures of 21 to 2048"), "{message}");
    let message = refused(&format!("loss = [{alex}]\nloss_side = 8"));
    assert!(message.contains("perceptual.loss_side = 8"), "{message}");
    let message = refused(&format!("loss = [{alex}]\nloss_side = 21\nloss_weight = 0.0"));
    assert!(message.contains("perceptual.loss_weight = 0: must be a positive number"), "{message}");
    assert!(refused("metrc = []").contains("did you mean `perceptual.metric`?"));
}

#[test]
fn given_weights_are_known_by_their_content_and_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"a\"\n[model]\nwidth = 16\nhidden = 24\nheads = 2\nencoder_layers = 1\ndecoder_layers = 1\n";
    let model = engine::ElasticTok::new(read(text).variants[0].model.clone(), 3).unwrap();
    let file = folder.path().join("model.safetensors");
    let hash = engine::model::save_model(&model, None, &file).unwrap();

    let with = |text: &str| parse(text, &set("model.checkpoint", &file.to_string_lossy()));
    let variant = with(text).unwrap().variants.remove(0);
    assert_eq!(variant.given, Some(GivenWeights { path: file.clone(), weights: hash.into() }));
    // How it was trained decides nothing any more; the weights do.
    let trained_longer = with(&format!("{text}[train]\nsteps = 5000\n")).unwrap().variants.remove(0);
    assert_eq!(variant.training_config(), trained_longer.training_config());
    assert_ne!(variant.training_config(), read(text).variants[0].training_config());

    let error = with(&text.replace("hidden = 24", "hidden = 32")).unwrap_err().to_string();
    assert!(error.contains("the model in the file has model.hidden = 24, the experiment 32"), "{error}");
    let error = with(&format!("seeds = [0, 1]\n{text}")).unwrap_err().to_string();
    assert!(error.contains("of one model; give one seed"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert!(with(text).unwrap_err().to_string().contains("model.safetensors"));
    assert!(parse(text, &set("model.checkpoint", "")).unwrap().variants[0].given.is_none());
}
