//! Tokens as arrays, read by others: the safetensors crate and NumPy.

use engine::Precision;
use engine::data::Fit;
use engine::token_file::export::TokenArrays;
use engine::token_file::{Header, Source};
use engine::{BlockShape, BlockTokens, Bottleneck, ModelConfig, TokenFile, TokenValues};
use safetensors::{Dtype, SafeTensors};
use std::process::Command;

/// Two tokens a block of one frame.
fn file(name: &str, bottleneck: Bottleneck, blocks: Vec<BlockTokens>) -> TokenFile {
    let model = ModelConfig {
        width: 8,
        hidden: 12,
        heads: 2,
        encoder_layers: 1,
        decoder_layers: 1,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.02,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(1, 4, 4, [1, 4, 2]).unwrap(),
        bottleneck,
    };
    let source = Source {
        name: name.into(),
        hash: Some(blake3::hash(name.as_bytes())),
        width: 4,
        height: 4,
        frames: blocks.len(),
        frames_per_second: Some(5.0),
    };
    let fit = Fit { resized: [4, 4], crop: [0, 0] };
    let header = Header { model, weights_hash: blake3::hash(b"weights"), source, fit, window: None, search: None };
    TokenFile::new(header, blocks).unwrap()
}

fn fsq() -> [TokenFile; 2] {
    let block = |codes: &[u32]| BlockTokens { kept_tokens: codes.len(), values: TokenValues::Codes(codes.to_vec()) };
    let bottleneck = Bottleneck::Fsq { levels: vec![256, 256, 256, 128] };
    [
        file("é.png", bottleneck.clone(), vec![block(&[7])]),
        // The largest code of the largest codebook.
        file("b.gif", bottleneck, vec![block(&[1, (1 << 31) - 1]), block(&[3])]),
    ]
}

fn vae() -> [TokenFile; 1] {
    let block = BlockTokens { kept_tokens: 1, values: TokenValues::Means(vec![0.5, -1.25, 3.0]) };
    [file("c.png", Bottleneck::Vae { dim: 3 }, vec![block])]
}

#[test]
fn safetensors_hold_every_token_and_the_headers() {
    let bytes = TokenArrays::new(&fsq()).unwrap().to_safetensors();
    let arrays = SafeTensors::deserialize(&bytes).unwrap();
    let ints = |name: &str| -> (Vec<usize>, Vec<i32>) {
        let array = arrays.tensor(name).unwrap();
        assert_eq!(array.dtype(), Dtype::I32);
        let values = array.data().as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
        (array.shape().to_vec(), values.collect())
    };
    assert_eq!(ints("codes"), (vec![3, 2], vec![7, -1, 1, i32::MAX, 3, -1]));
    assert_eq!(ints("kept_tokens"), (vec![3], vec![1, 2, 1]));
    let first = arrays.tensor("first_block").unwrap();
    assert_eq!((first.dtype(), first.shape()), (Dtype::I64, &[3][..]));
    assert_eq!(first.data(), [0_i64, 1, 3].map(i64::to_le_bytes).concat());
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let headers: Vec<Header> = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["headers"]).unwrap();
    assert_eq!(headers, fsq().map(|file| file.header().clone()));

    let bytes = TokenArrays::new(&vae()).unwrap().to_safetensors();
    let arrays = SafeTensors::deserialize(&bytes).unwrap();
    let means = arrays.tensor("means").unwrap();
    assert_eq!((means.dtype(), means.shape()), (Dtype::F32, &[1, 2, 3][..]));
    assert_eq!(means.data(), [0.5_f32, -1.25, 3.0, 0.0, 0.0, 0.0].map(f32::to_le_bytes).concat());
}

#[test]
fn files_of_different_models_do_not_share_arrays() {
    let [a, _] = fsq();
    let [b] = vae();
    let (number, error) = TokenArrays::new(&[a, b]).unwrap_err();
    assert_eq!(number, 1);
    assert!(error.to_string().contains("another model"), "{error}");
}

#[test]
fn numpy_loads_the_archive() {
    if !Command::new("python3").args(["-c", "import numpy"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED numpy_loads_the_archive: python3 with numpy is not on PATH, the .npz files were not read");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fsq.npz"), TokenArrays::new(&fsq()).unwrap().to_npz()).unwrap();
    std::fs::write(folder.path().join("vae.npz"), TokenArrays::new(&vae()).unwrap().to_npz()).unwrap();
    let script = "
import json, numpy, zipfile
assert zipfile.ZipFile('fsq.npz').testzip() is None
a = numpy.load('fsq.npz')
assert sorted(a.files) == ['codes', 'first_block', 'headers', 'kept_tokens'], a.files
assert a['codes'].dtype == numpy.int32 and a['codes'].tolist() == [[7, -1], [1, 2**31 - 1], [3, -1]], a['codes']
assert a['kept_tokens'].dtype == numpy.int32 and a['kept_tokens'].tolist() == [1, 2, 1]
assert a['first_block'].dtype == numpy.int64 and a['first_block'].tolist() == [0, 1, 3]
headers = json.loads(str(a['headers']))
assert [h['source']['name'] for h in headers] == ['\\u00e9.png', 'b.gif'], headers
b = numpy.load('vae.npz')
assert b['means'].dtype == numpy.float32 and b['means'].tolist() == [[[0.5, -1.25, 3.0], [0, 0, 0]]], b['means']
";
    let output = Command::new("python3").args(["-c", script]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
