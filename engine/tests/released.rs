//! Files of the released code, and files that only pretend to be.

mod reference;

use engine::Precision;
use engine::parameters::Parameters;
use engine::released::{Mismatch, ReleasedError, import, import_from};
use engine::tensor::values;
use engine::{BlockShape, Bottleneck, ElasticTok, ModelConfig};
use proptest::prelude::*;
use reference::{Arrays, Case, folder};
use rmp::encode::{write_array_len, write_bin, write_ext_meta, write_str, write_uint};
use std::io::Cursor;

/// The micro model of `train_state`.
fn micro() -> ModelConfig {
    ModelConfig {
        width: 8,
        hidden: 12,
        heads: 2,
        encoder_layers: 1,
        decoder_layers: 2,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.02,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(1, 64, 64, [1, 8, 8]).unwrap(),
        bottleneck: Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] },
    }
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn parse(bytes: &[u8], config: ModelConfig) -> Result<ElasticTok, ReleasedError> {
    import_from(Cursor::new(bytes), config, &mut |_, _| {})
}

fn refusal(bytes: &[u8]) -> ReleasedError {
    parse(bytes, micro()).map(|_| ()).unwrap_err()
}

/// Nearest bfloat16, ties to even.
fn to_bfloat16(value: f32) -> f32 {
    let bits = value.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

#[test]
fn every_weight_of_a_training_state_arrives_in_its_place() {
    let expected = Arrays::open("train_state/params.safetensors");
    for (file, stored) in
        [("streaming_train_state_fp32", (|x| x) as fn(f32) -> f32), ("streaming_train_state_bf16", to_bfloat16)]
    {
        let path = folder().join("train_state").join(file);
        let mut told = Vec::new();
        let model = import(&path, micro(), &mut |done, total| told.push((done, total))).unwrap();
        let mut weights = 0;
        model.visit("", &mut |name, weight| {
            let expected: Vec<f32> = expected.weight("", name).unwrap().into_iter().map(stored).collect();
            assert_eq!(values(weight), expected, "{file}: {name}");
            weights += 1;
        });
        assert_eq!(told, (1..=weights).map(|done| (done, weights)).collect::<Vec<_>>());
    }
}

#[test]
fn another_model_is_refused_with_every_difference() {
    let bytes = read("train_state/streaming_train_state_fp32");
    let mismatch = |config| match parse(&bytes, config) {
        Err(ReleasedError::Mismatch(mismatch)) => mismatch,
        other => panic!("{:?}", other.map(|_| ())),
    };
    let deeper = mismatch(ModelConfig { encoder_layers: 3, ..micro() });
    assert_eq!((deeper.missing.len(), deeper.left_over.len(), deeper.wrong_shape.len()), (0, 0, 9));
    assert_eq!(
        (&deeper.wrong_shape[0].found[..], &deeper.wrong_shape[0].expected[..]),
        (&[1, 8, 8][..], &[3, 8, 8][..])
    );
    let vae = mismatch(ModelConfig { bottleneck: Bottleneck::Vae { dim: 8 }, ..micro() }).to_string();
    assert!(vae.contains("decoder/post_quant/kernel is [6, 8], expected [8, 8]"), "{vae}");
    assert!(vae.contains("encoder/pre_quant/kernel is [8, 6], expected [8, 16]"), "{vae}");

    // One letter of two names: what is missing and what is left over are told together.
    let mut renamed = bytes.clone();
    for (from, to) in [("is_kept_embed", "is_kepd_embed"), ("post_quant", "past_quant")] {
        let at = renamed.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        renamed[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let ReleasedError::Mismatch(Mismatch { missing, left_over, wrong_shape }) = refusal(&renamed) else { panic!() };
    assert_eq!(missing, ["decoder/post_quant/kernel", "encoder/is_kept_embed"]);
    assert_eq!(left_over, ["decoder/past_quant/kernel", "encoder/is_kepd_embed"]);
    assert_eq!(wrong_shape, []);
}

/// An entry as the released code writes it, with whatever it is told to declare.
fn entry(path: &[&str], shape: &[u64], dtype: &str, bytes: &[u8]) -> Vec<u8> {
    let mut array = Vec::new();
    write_array_len(&mut array, 3).unwrap();
    write_array_len(&mut array, shape.len() as u32).unwrap();
    for axis in shape {
        write_uint(&mut array, *axis).unwrap();
    }
    write_str(&mut array, dtype).unwrap();
    write_bin(&mut array, bytes).unwrap();
    extension(path, 1, &array)
}

fn extension(path: &[&str], kind: i8, content: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    write_ext_meta(&mut value, content.len() as u32, kind).unwrap();
    value.extend_from_slice(content);
    let mut entry = Vec::new();
    write_array_len(&mut entry, 2).unwrap();
    write_array_len(&mut entry, path.len() as u32).unwrap();
    path.iter().for_each(|name| write_str(&mut entry, name).unwrap());
    write_bin(&mut entry, &value).unwrap();
    entry
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let long = "n".repeat(256);
    let deep = vec!["a"; 33];
    for (bytes, expected) in [
        (vec![], "ends after 0 bytes, inside the first entry"),
        (b"\x89PNG\r\n\x1a\n".to_vec(), "byte 0: a dictionary where the format has an entry [path, value]"),
        (vec![0x93, 1, 2, 3], "byte 0: an entry [path, value] has the length 3, expected 2"),
        (
            vec![0x92, 0xdd, 0xff, 0xff, 0xff, 0xff],
            "byte 1: an array's path has the length 4294967295, expected at most 32",
        ),
        (
            vec![0x92, 0x91, 0xdb, 0xff, 0xff, 0xff, 0xff],
            "a name of a path has the length 4294967295, expected at most 255",
        ),
        (vec![0x92, 0x91, 0xa1, 0xff], "bytes that are no text"),
        (vec![0x92, 0x91, 0xa1, b'a', 0xc6, 0xff, 0xff, 0xff, 0xff], "inside an entry's value"),
        (entry(&[&long], &[1], "float32", &[0; 4]), "a name of a path has the length 256"),
        (entry(&deep, &[1], "float32", &[0; 4]), "an array's path has the length 33"),
        (
            entry(&["a"], &[1], "float64", &[0; 8]),
            "a holds numbers of type float64; only float32 and bfloat16 are read",
        ),
        (entry(&["a"], &[2], "float32", &[0; 4]), "an array's values has the length 4, expected 8"),
        (
            entry(&["a"], &[1 << 40, 1 << 40], "float32", &[0; 4]),
            "a has the impossible shape [1099511627776, 1099511627776]",
        ),
        (entry(&["a"], &[1; 9], "float32", &[0; 4]), "an array's shape has the length 9, expected at most 8"),
        (extension(&["a"], 3, &[0; 4]), "extension 3 where the format has an array (extension 1)"),
        (
            [entry(&["a"], &[1], "float32", &[0; 4]), entry(&["params", "a"], &[1], "float32", &[0; 4])].concat(),
            "a stands in the file twice",
        ),
    ] {
        let error = refusal(&bytes).to_string();
        assert!(error.contains(expected), "{bytes:x?}: {error}");
    }
    // More arrays than any file has.
    let many: Vec<u8> = (0..10_001).flat_map(|i| entry(&[&i.to_string()], &[0], "float32", &[])).collect();
    assert!(refusal(&many).to_string().contains("at most 10000"));
}

#[test]
fn a_weight_that_is_not_finite_is_refused() {
    let mut bytes = read("train_state/streaming_train_state_fp32");
    let name = b"is_kept_embed";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    let values = at + bytes[at..].windows(7).position(|window| window == b"float32").unwrap() + 9;
    bytes[values + 4..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(
        refusal(&bytes).to_string(),
        "encoder/is_kept_embed holds NaN: a model with such a weight computes nothing"
    );
}

/// Only a cut between two entries of the optimizer's, behind the parameters, leaves a model.
#[test]
fn every_truncation_is_refused_unless_all_parameters_stand_before_it() {
    let bytes = read("train_state/streaming_train_state_bf16");
    let optimizer = bytes.windows(9).position(|window| window == b"opt_state").unwrap();
    let mut accepted = 0;
    for length in 0..bytes.len() {
        let whole = parse(&bytes[..length], micro()).is_ok();
        assert!(!whole || length >= optimizer - 3, "{length} of {} bytes were enough", bytes.len());
        accepted += usize::from(whole);
    }
    // The count, and 26 moments of each of two kinds less the last, which ends the file.
    assert!(accepted <= 54, "{accepted} cuts were accepted");
}

#[derive(Clone, Debug)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Length(prop::sample::Index, u32),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let length = prop_oneof![any::<u32>(), 0_u32..300, Just(u32::MAX), Just(1 << 31)];
    prop_oneof![
        (any::<prop::sample::Index>(), 0_u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        any::<prop::sample::Index>().prop_map(Mutation::Cut),
        (any::<prop::sample::Index>(), length).prop_map(|(at, length)| Mutation::Length(at, length)),
        (any::<prop::sample::Index>(), 1_usize..400).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (any::<prop::sample::Index>(), 1_usize..400).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

/// Changes descriptions rather than values: positions are those of entries' first bytes.
fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let descriptions: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at] == 0x92 && bytes.get(at + 1).is_some_and(|next| next >> 4 == 9))
        .collect();
    let place = |index: &prop::sample::Index| {
        let begin = *index.get(if descriptions.is_empty() { &[0] } else { &descriptions });
        (begin + index.index(160)).min(bytes.len() - 1)
    };
    match mutation {
        Mutation::Flip(at, bit) => {
            let at = place(at);
            bytes[at] ^= 1 << bit;
        }
        Mutation::Cut(at) => bytes.truncate(place(at).max(1)),
        Mutation::Length(at, length) => {
            let at = place(at);
            let end = (at + 4).min(bytes.len());
            bytes[at..end].copy_from_slice(&length.to_be_bytes()[..end - at]);
        }
        Mutation::Remove(at, length) => {
            let at = place(at).max(1);
            let end = (at + length).min(bytes.len());
            bytes.drain(at..end);
        }
        Mutation::Repeat(at, length) => {
            let at = place(at);
            let end = (at + length).min(bytes.len());
            bytes.extend_from_within(at..end);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A damaged file is refused, or is a model whose weights are all finite; it never panics.
    #[test]
    fn damaged_files_are_refused_or_read(whole in any::<bool>(), mutations in prop::collection::vec(mutation(), 1..4)) {
        let name = if whole { "streaming_train_state_fp32" } else { "streaming_train_state_bf16" };
        let mut bytes = read(&format!("train_state/{name}"));
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        if let Ok(model) = parse(&bytes, micro()) {
            model.visit("", &mut |name, weight| assert!(values(weight).iter().all(|value| value.is_finite()), "{name}"));
        }
    }

    /// Bytes that were never such a file.
    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes, micro()).is_err());
    }
}

#[test]
fn the_trained_model_reconstructs_what_the_reference_does() {
    let case = Case::load("fsq_image");
    let model = import(&folder().join("trained/params"), case.model.config().clone(), &mut |_, _| {}).unwrap();
    let io = Arrays::open("trained/io.safetensors");
    let reconstruction = model.reconstruct(case.patches(), &case.mask, &case.scope);
    let difference = reference::worst_difference(values(&reconstruction), &io.f32("recon"));
    println!("trained: reconstruction {difference:.1e}");
    assert!(difference < 2e-5, "{difference:e}");
}
