//! Token files through the built binary: encode, decode, inspect, export, and what is refused.

mod common;

use common::Bench;
use engine::data::video::{VideoReader, VideoWriter};
use engine::data::{Picture, load_picture};
use engine::model::{load_model, save_model};
use engine::{BlockShape, ElasticTok, TokenFile, TokenValues};
use std::path::{Path, PathBuf};

/// A bench with the tiny experiment trained.
struct Trained {
    bench: Bench,
    fsq: String,
    vae: String,
    photo: String,
}

impl Trained {
    fn new() -> Self {
        let bench = Bench::new();
        bench.succeed(&["-q", "train", "tiny.toml"]);
        let list = |folder: &str| -> Vec<PathBuf> {
            let mut files: Vec<_> =
                std::fs::read_dir(bench.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            files
        };
        let weights = list("results/checkpoints").into_iter().map(|folder| folder.join("weights.safetensors"));
        let (vae, fsq): (Vec<_>, Vec<_>) = weights
            .map(|file| file.into_os_string().into_string().unwrap())
            .partition(|file| load_model(file.as_ref()).unwrap().0.config().bottleneck.codebook_size().is_none());
        let photo = list("photos/test")[0].to_str().unwrap().to_owned();
        Self { fsq: fsq[0].clone(), vae: vae[0].clone(), photo, bench }
    }

    fn encode(&self, checkpoint: &str, budget: &[&str], output: &str) -> String {
        let command = ["-q", "encode", &self.photo, "--checkpoint", checkpoint, "-o", output];
        self.bench.succeed(&[&command, budget].concat()).0
    }

    /// A clip of 40×48 pixels at ten frames a second in which the photograph moves.
    fn clip(&self, frames: usize) -> String {
        let photo = load_picture(self.photo.as_ref()).unwrap();
        let path = self.bench.path("clip-in.y4m");
        let mut writer = VideoWriter::create(&path, 40, 48, 10.0).unwrap();
        (0..frames).for_each(|i| writer.write(&photo.crop(3 * i, i, 40, 48)).unwrap());
        writer.finish().unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// Blocks of four frames, fresh weights: what is tested does not depend on what was learnt.
    fn clip_model(&self) -> String {
        let mut config = load_model(self.vae.as_ref()).unwrap().0.config().clone();
        config.block = BlockShape::new(4, 32, 32, [2, 8, 8]).unwrap();
        config.init_std = 0.2;
        let path = self.bench.path("clips.safetensors");
        save_model(&ElasticTok::new(config, 1).unwrap(), None, &path).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    fn tokens(&self, file: &str) -> TokenFile {
        TokenFile::read(&std::fs::read(self.bench.path(file)).unwrap()).unwrap()
    }

    fn picture(&self, file: &str) -> Picture {
        load_picture(&self.bench.path(file)).unwrap()
    }
}

#[test]
fn a_decoded_picture_is_the_one_that_encoding_reconstructed() {
    let t = Trained::new();
    for checkpoint in [&t.fsq, &t.vae] {
        let kept = [["--tokens", "5"], ["--threshold", "0.1"], ["--threshold", "0.3"]].map(|budget| {
            let out = t.encode(checkpoint, &budget, "a.etok");
            let file = t.tokens("a.etok");
            let kept = file.blocks()[0].kept_tokens;
            assert!(out.contains(&format!("{kept} of 16 tokens in 1 block\n")), "{out}");
            t.bench.succeed(&["decode", "a.etok", "--checkpoint", checkpoint, "-o", "a.png"]);
            let command = ["-q", "reconstruct", &t.photo, "--checkpoint", checkpoint, "-o", "both.png"];
            let (out, _) = t.bench.succeed(&[&command[..], &budget].concat());
            assert!(out.contains(&format!("{kept} of 16 tokens in 1 block")), "{out}");
            let both = t.picture("both.png");
            assert_eq!(t.picture("a.png"), both.crop(34, 0, 32, 32), "{budget:?}");
            assert_ne!(both.crop(0, 0, 32, 32), both.crop(34, 0, 32, 32));
            // More threads decode to the same picture.
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_elastictok"));
            let command = command.current_dir(t.bench.folder.path()).args(["--threads", "2", "decode", "a.etok"]);
            assert!(command.args(["-c", checkpoint, "-o", "b.png"]).output().unwrap().status.success());
            assert_eq!(t.picture("a.png"), t.picture("b.png"));
            kept
        });
        assert_eq!(kept[0], 5);
        assert!(kept[1] >= kept[2], "a looser threshold keeps no more: {kept:?}");
    }
}

#[test]
fn workers_that_share_a_clip_make_the_same_tokens_and_pixels() {
    let t = Trained::new();
    let (clip, model) = (t.clip(18), t.clip_model());
    let encode = |more: &[&'static str]| [&["-q", "encode", &clip, "-c", &model][..], more].concat();
    t.bench.succeed(&encode(&["--tokens", "9", "-o", "one.etok"]));
    for mesh in ["sequence=2", "sequence=3"] {
        t.bench.succeed(&encode(&["--tokens", "9", "--mesh", mesh, "-o", "many.etok"]));
        let (one, many) = (t.tokens("one.etok"), t.tokens("many.etok"));
        assert_eq!((one.header(), one.blocks().len()), (many.header(), many.blocks().len()));
        for (one, many) in one.blocks().iter().zip(many.blocks()) {
            let (TokenValues::Means(one), TokenValues::Means(many)) = (&one.values, &many.values) else { panic!() };
            assert!(one.len() == many.len() && one.iter().zip(many).all(|(a, b)| (a - b).abs() <= 1e-5), "{mesh}");
        }
        t.bench.succeed(&["decode", "one.etok", "-c", &model, "-o", "one.y4m"]);
        t.bench.succeed(&["decode", "one.etok", "-c", &model, "--mesh", mesh, "-o", "many.y4m"]);
        assert_eq!(frames(&t.bench.path("one.y4m")).len(), frames(&t.bench.path("many.y4m")).len());
        // Rounding to 8 bits may show a difference of one.
        for (one, many) in frames(&t.bench.path("one.y4m")).iter().zip(&frames(&t.bench.path("many.y4m"))) {
            assert!(one.pixels.iter().zip(&many.pixels).all(|(a, b)| a.abs_diff(*b) <= 3), "{mesh}");
        }
        let command = ["-q", "reconstruct", &clip, "-c", &model, "--tokens", "9", "-o", "both.y4m", "--mesh", mesh];
        let (out, _) = t.bench.succeed(&command);
        assert!(out.contains("45 of 160 tokens in 5 blocks"), "{out}");
    }
    for (wrong, expected) in [
        (&["--threshold", "0.1", "--mesh", "sequence=2"][..], "a search fixes one block after another: give --tokens"),
        (&["--tokens", "9", "--window", "1", "--mesh", "sequence=2"], "see all before it, not --window 1"),
        (&["--tokens", "9", "--mesh", "data=2"], "a single sequence has no groups"),
        (&["--tokens", "9", "--mesh", "sequence=81"], "a sequence of 160 tokens"),
    ] {
        let error = t.bench.refuse(&encode(&[wrong, &["-o", "wrong.etok"]].concat()));
        assert!(error.contains(expected), "{error}");
    }
    let folder = ["encode", "photos", "-c", &t.vae, "--tokens", "9", "--mesh", "sequence=2", "-o", "tokens"];
    assert!(t.bench.refuse(&folder).contains("the files of a folder are encoded several at once"));
    t.bench.succeed(&encode(&["--tokens", "9", "--window", "1", "-o", "window.etok"]));
    let error = t.bench.refuse(&["decode", "window.etok", "-c", &model, "--mesh", "sequence=2", "-o", "wrong.y4m"]);
    assert!(error.contains("window.etok") && error.contains("its blocks see 1 before them"), "{error}");
    assert!(!t.bench.path("wrong.etok").exists() && !t.bench.path("wrong.y4m").exists());
}

#[test]
fn the_header_says_what_was_encoded_and_inspect_shows_it() {
    let t = Trained::new();
    let (width, height) = {
        let photo = load_picture(t.photo.as_ref()).unwrap();
        (photo.width, photo.height)
    };
    let out = t.encode(&t.fsq, &["--threshold", "0.1", "--search", "binned(4)", "--min-tokens", "2"], "a.etok");
    assert!(
        out.contains(&format!(": {width}×{height} pixels, scaled to ")) && out.contains("32×32 cut out at"),
        "{out}"
    );
    let file = t.tokens("a.etok");
    let (header, hash) = (file.header(), load_model(t.fsq.as_ref()).unwrap().1.weights_hash);
    assert_eq!((header.source.width, header.source.height, header.source.frames), (width, height, 1));
    assert!(t.photo.ends_with(&header.source.name) && !header.source.name.contains('/'));
    assert_eq!(header.fit.resized.into_iter().min(), Some(32));
    assert_eq!(header.weights_hash, hash);
    let search = header.search.as_ref().unwrap();
    assert_eq!((search.strategy.as_str(), search.threshold), ("binned(4)", 0.1));

    // Through another program's eyes: nothing but the file is needed.
    std::fs::remove_dir_all(t.bench.path("photos")).unwrap();
    let (out, _) = t.bench.succeed(&["inspect", "a.etok"]);
    let kept = file.blocks()[0].kept_tokens;
    let size = std::fs::metadata(t.bench.path("a.etok")).unwrap().len();
    for line in [
        format!("tokens of     {:?}", header.source.name),
        "counts        by binned(4), mean squared error in [−1, 1] at most 0.1".to_owned(),
        "model         FSQ of 8×8×8×5×5×5 levels: 64000 codes, 16 bits a token".to_owned(),
        format!("weights       {hash}"),
        format!("kept tokens   {kept} of 16 ({:.1} %)", kept as f64 * 6.25),
        format!("tokens        {} bits ({} B)", kept * 16, kept * 2),
        format!("whole file    {} bits", size * 8),
    ] {
        assert!(out.contains(&line), "{line}\nis not in\n{out}");
    }
    let (out, _) = t.bench.succeed(&["inspect", &t.vae]);
    let (model, info) = load_model(t.vae.as_ref()).unwrap();
    for line in
        [format!("weights       {}", info.weights_hash), format!("{} weights", model.config().parameter_count())]
    {
        assert!(out.contains(&line), "{line}\nis not in\n{out}");
    }
}

#[test]
fn another_checkpoint_is_refused_with_the_hash_that_is_wanted() {
    let t = Trained::new();
    t.encode(&t.fsq, &["--tokens", "5"], "a.etok");
    let wanted = t.tokens("a.etok").header().weights_hash.to_string();
    t.bench.succeed(&["-q", "train", "tiny.toml", "--set", "seeds=[7]"]);
    let others = std::fs::read_dir(t.bench.path("results/checkpoints")).unwrap();
    let mut refused = [0, 0];
    for folder in others.map(|entry| entry.unwrap().path()) {
        let file = folder.join("weights.safetensors").into_os_string().into_string().unwrap();
        let Ok((model, info)) = load_model(file.as_ref()) else { continue };
        if info.weights_hash.to_string() == wanted {
            continue;
        }
        let error = t.bench.refuse(&["decode", "a.etok", "--checkpoint", &file, "-o", "a.png"]);
        assert!(error.contains("a.etok cannot be decoded with") && error.contains(&wanted), "{error}");
        let other_shape = model.config().bottleneck.codebook_size().is_none();
        assert_eq!(error.contains("the checkpoint is another model: model.bottleneck."), other_shape, "{error}");
        refused[usize::from(other_shape)] += 1;
    }
    assert!(refused[0] >= 2 && refused[1] >= 2, "{refused:?}");
    assert!(!t.bench.path("a.png").exists());
}

#[test]
fn damaged_files_are_refused_and_nothing_is_written() {
    let t = Trained::new();
    t.encode(&t.fsq, &["--tokens", "5"], "a.etok");
    let whole = std::fs::read(t.bench.path("a.etok")).unwrap();
    let damage = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 16;
        bytes
    };
    let cases = [
        (whole[..whole.len() - 1].to_vec(), "the checksum at byte"),
        (whole[..40].to_vec(), "the file is cut short or damaged"),
        (damage(60), "the header (from byte 0) is damaged"),
        (damage(whole.len() - 32 - 6), "block 0 (from byte"),
        ([&whole[..], b"more"].concat(), "4 more bytes follow"),
        (b"a picture, perhaps".to_vec(), "this is no token file"),
        (Vec::new(), "this is no token file"),
    ];
    let before = t.bench.files();
    for (bytes, expected) in cases {
        std::fs::write(t.bench.path("a.etok"), bytes).unwrap();
        let commands: [&[&str]; 3] = [
            &["inspect", "a.etok"],
            &["decode", "a.etok", "--checkpoint", &t.fsq, "-o", "a.png"],
            &["export", "tokens", "a.etok", "-o", "a.npz"],
        ];
        for command in commands {
            let error = t.bench.refuse(command);
            assert!(error.contains(expected) && error.contains("a.etok"), "{error}");
        }
    }
    assert_eq!(t.bench.files(), before);
}

#[test]
fn bad_input_is_refused_with_what_to_do() {
    let t = Trained::new();
    t.encode(&t.fsq, &["--tokens", "5"], "a.etok");
    let before = t.bench.files();
    let encode = |more: &[&str], output: &str| {
        t.bench.refuse(&[&["encode", &t.photo, "--checkpoint", &t.fsq, "-o", output], more].concat())
    };
    for (arguments, output, expected) in [
        (&["--tokens", "17"][..], "b.etok", "--tokens 17: a block of this model has 1 to 16"),
        (&["--tokens", "0"], "b.etok", "--tokens 0"),
        (&["--threshold", "-1"], "b.etok", "--threshold -1: need a positive mean squared error"),
        (&["--threshold", "nan"], "b.etok", "need a positive mean squared error"),
        (&["--threshold", "0.1", "--tokens", "5"], "b.etok", "cannot be used with"),
        (&[], "b.etok", "give --threshold or --tokens"),
        (&["--threshold", "0.1", "--search", "binray"], "b.etok", "did you mean binary?"),
        (&["--threshold", "0.1", "--search", "regression(0.5)"], "b.etok", "it asks a predictor"),
        (&["--threshold", "0.1", "--min-tokens", "17"], "b.etok", "token range 17..=16 is empty"),
        (&["--tokens", "5"], "b.png", "a token file's name ends in .etok"),
    ] {
        let error = encode(arguments, output);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    let checkpoint = ["--checkpoint", &t.fsq];
    for (command, expected) in [
        (["encode", "nothing.png", "--tokens", "5", "-o", "b.etok"], "cannot read nothing.png"),
        (["encode", "tiny.toml", "--tokens", "5", "-o", "b.etok"], "tiny.toml"),
        (["reconstruct", &t.photo, "--tokens", "5", "-o", "b.jpg"], "a picture is written as .png"),
    ] {
        let error = t.bench.refuse(&[&command[..], &checkpoint].concat());
        assert!(error.contains(expected), "{error}");
    }
    let error = t.bench.refuse(&["decode", "a.etok", "--checkpoint", "tiny.toml", "-o", "a.png"]);
    assert!(error.contains("tiny.toml"), "{error}");
    let error = t.bench.refuse(&["decode", "a.etok", "--checkpoint", &t.fsq, "-o", "a.mp4"]);
    assert!(error.contains("cannot write a.mp4"), "{error}");
    let error = t.bench.refuse(&["inspect", "tiny.toml"]);
    assert!(error.contains("tiny.toml"), "{error}");
    assert_eq!(t.bench.files(), before);
}

/// A clip of eleven frames, three blocks of four, through every option of time.
#[test]
fn a_clip_is_encoded_within_its_window_and_decoded_frame_by_frame() {
    let t = Trained::new();
    let clip = t.clip(11);
    let model = t.clip_model();
    for more in [&[][..], &["--window", "1"], &["--fps", "5"]] {
        let command = ["-q", "encode", &clip, "-c", &model, "--tokens", "9", "-o", "clip.etok"];
        t.bench.succeed(&[&command[..], more].concat());
        let file = t.tokens("clip.etok");
        let source = &file.header().source;
        let fps = if more.contains(&"--fps") { 5.0 } else { 10.0 };
        assert_eq!(source.frames_per_second, Some(fps), "{more:?}");
        assert_eq!(file.header().window, more.contains(&"--window").then_some(1));
        assert_eq!(file.blocks().len(), source.frames.div_ceil(4));
        t.bench.succeed(&["-q", "decode", "clip.etok", "-c", &model, "-o", "clip.y4m"]);
        let command = ["-q", "reconstruct", &clip, "-c", &model, "--tokens", "9", "-o", "both.y4m"];
        t.bench.succeed(&[&command[..], more].concat());
        let decoded = frames(&t.bench.path("clip.y4m"));
        let both = frames(&t.bench.path("both.y4m"));
        assert_eq!((decoded.len(), both.len()), (source.frames, source.frames));
        if more.is_empty() {
            assert_eq!(source.frames, 11);
        }
        // The y4m file keeps every pixel to two levels in a way that depends on the pixel alone.
        for (decoded, both) in decoded.iter().zip(&both) {
            assert_eq!(*decoded, both.crop(34, 0, 32, 32), "{more:?}");
        }
        let (out, _) = t.bench.succeed(&["inspect", "clip.etok"]);
        assert!(out.contains(&format!("{} frames at {fps} a second", source.frames)), "{out}");
    }
    let error = t.bench.refuse(&["decode", "clip.etok", "-c", &model, "-o", "clip.png"]);
    assert!(error.contains("frames are written as .mp4, .gif or .y4m"), "{error}");
    let error = t.bench.refuse(&["encode", &clip, "-c", &model, "--tokens", "9", "--fps", "0", "-o", "b.etok"]);
    assert!(error.contains("--fps 0: need a positive number"), "{error}");
    assert!(!t.bench.path("clip.png").exists() && !t.bench.path("b.etok").exists());
}

fn frames(path: &Path) -> Vec<Picture> {
    VideoReader::open(path).unwrap().map(|frame| frame.unwrap().picture).collect()
}

#[test]
fn tokens_are_exported_from_files_of_one_model_only() {
    let t = Trained::new();
    t.encode(&t.fsq, &["--tokens", "5"], "a.etok");
    t.encode(&t.fsq, &["--tokens", "16"], "b.etok");
    t.encode(&t.vae, &["--tokens", "5"], "vae.etok");
    let (out, _) = t.bench.succeed(&["export", "tokens", "a.etok", "b.etok", "-o", "tokens.npz"]);
    assert_eq!(out, "tokens.npz: 2 files, 2 blocks\n");
    assert_eq!(std::fs::read(t.bench.path("tokens.npz")).unwrap()[..4], *b"PK\x03\x04");
    t.bench.succeed(&["export", "tokens", "vae.etok", "--format", "safetensors", "-o", "tokens.safetensors"]);
    let error = t.bench.refuse(&["export", "tokens", "a.etok", "vae.etok", "-o", "both.npz"]);
    assert!(error.contains("a.etok and vae.etok are of different models"), "{error}");
    assert!(!t.bench.path("both.npz").exists());
}

#[test]
fn a_folder_is_encoded_once_and_again_only_where_something_changed() {
    let t = Trained::new();
    let folder = t.bench.path("photos/test");
    std::fs::create_dir(folder.join("more")).unwrap();
    std::fs::copy(t.clip(5), folder.join("more/clip.y4m")).unwrap();
    std::fs::write(folder.join("broken.png"), "no picture").unwrap();
    let encode = |threshold: &str| {
        let budget = ["--threshold", threshold, "-o", "tokens"];
        t.bench.succeed(&[&["encode", "photos/test", "-c", &t.fsq], &budget[..]].concat())
    };
    let (out, err) = encode("0.1");
    assert_eq!(out, "tokens: 4 encoded, 0 encoded before, 1 skipped\n");
    assert!(err.contains("skipped broken.png: "), "{err}");
    let clip = t.tokens("tokens/more/clip.y4m.etok");
    assert_eq!((clip.blocks().len(), clip.header().source.name.as_str()), (5, "clip.y4m"));
    // One by one they are the same.
    let name = Path::new(&t.photo).file_name().unwrap().to_str().unwrap();
    let (alone, of_folder) = ("alone.etok", format!("tokens/{name}.etok"));
    t.encode(&t.fsq, &["--threshold", "0.1"], alone);
    assert_eq!(t.tokens(alone), t.tokens(&of_folder));

    assert_eq!(encode("0.1").0, "tokens: 0 encoded, 4 encoded before, 1 skipped\n");
    let whole = std::fs::read(t.bench.path(&of_folder)).unwrap();
    std::fs::write(t.bench.path(&of_folder), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(encode("0.1").0, "tokens: 1 encoded, 3 encoded before, 1 skipped\n", "a damaged token file");
    std::fs::copy(t.clip(6), folder.join("more/clip.y4m")).unwrap();
    assert_eq!(encode("0.1").0, "tokens: 1 encoded, 3 encoded before, 1 skipped\n", "another clip of that name");
    assert_eq!(encode("0.3").0, "tokens: 4 encoded, 0 encoded before, 1 skipped\n", "another threshold");
    let error = t.bench.refuse(&["encode", "photos/nowhere", "-c", &t.fsq, "--tokens", "5", "-o", "b.etok"]);
    assert!(error.contains("cannot read photos/nowhere"), "{error}");
    std::fs::create_dir(t.bench.path("empty")).unwrap();
    let error = t.bench.refuse(&["encode", "empty", "-c", &t.fsq, "--tokens", "5", "-o", "b"]);
    assert!(error.contains("empty"), "{error}");
    assert!(!t.bench.path("b").exists());
}

#[test]
fn tokens_of_a_folder_are_exported_and_a_killed_export_goes_on() {
    let t = Trained::new();
    let export = ["export", "tokens", "photos/test", "-c", &t.fsq, "--tokens", "5", "-o", "arrays.npz"];
    for number in 0..200 {
        std::fs::copy(&t.photo, t.bench.path(&format!("photos/test/copy {number}.jpg"))).unwrap();
    }
    let mut child = t.bench.start(&export);
    let is_begun = || std::fs::read_dir(t.bench.path("arrays.etok")).is_ok_and(|files| files.count() > 3);
    common::wait_until("token files", is_begun);
    child.kill().unwrap();
    child.wait().unwrap();
    let (out, _) = t.bench.succeed(&export);
    let counts: Vec<usize> = out.split(|c: char| !c.is_ascii_digit()).filter_map(|text| text.parse().ok()).collect();
    let [encoded, before, 0, 203, 203] = counts[..] else { panic!("{out}") };
    assert!(encoded + before == 203 && before > 0, "{out}");
    let exported = std::fs::read(t.bench.path("arrays.npz")).unwrap();
    // The token files that it left are a folder of token files like any other.
    let (out, _) = t.bench.succeed(&["export", "tokens", "arrays.etok", "-o", "again.npz"]);
    assert_eq!(out, "again.npz: 203 files, 203 blocks\n");
    assert_eq!(std::fs::read(t.bench.path("again.npz")).unwrap(), exported);
    let error = t.bench.refuse(&["export", "tokens", "arrays.etok", "--tokens", "5", "-o", "b.npz"]);
    assert!(error.contains("--checkpoint"), "{error}");
    let error = t.bench.refuse(&["export", "tokens", &t.photo, "-c", &t.fsq, "--tokens", "5", "-o", "b.npz"]);
    assert!(error.contains("a folder of pictures and videos is encoded"), "{error}");
}
