//! Token files: what is written is read, byte for byte as documented; everything else is an error, never a panic.

use engine::Precision;
use engine::data::Fit;
use engine::token_file::{Header, Part, Search, Source, bits_per_code};
use engine::{BlockShape, BlockTokens, Bottleneck, ModelConfig, TokenFile, TokenFileError, TokenValues};
use proptest::prelude::*;

/// Four tokens a block, 24 codes in 5 bits, or a VAE of two dimensions.
fn model(bottleneck: Bottleneck) -> ModelConfig {
    ModelConfig {
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
        block: BlockShape::new(2, 4, 4, [1, 4, 2]).unwrap(),
        bottleneck,
    }
}

fn fsq() -> ModelConfig {
    model(Bottleneck::Fsq { levels: vec![8, 3] })
}

fn vae() -> ModelConfig {
    model(Bottleneck::Vae { dim: 2 })
}

fn weights() -> blake3::Hash {
    blake3::Hash::from_bytes(std::array::from_fn(|i| i as u8))
}

fn header(model: ModelConfig, frames: usize) -> Header {
    Header {
        model,
        weights_hash: weights(),
        source: Source { name: "a.gif".into(), hash: None, width: 9, height: 7, frames, frames_per_second: Some(12.5) },
        fit: Fit { resized: [5, 4], crop: [1, 0] },
        window: Some(4),
        search: Some(Search { strategy: "binary".into(), threshold: 0.1 }),
    }
}

fn codes(codes: &[u32]) -> BlockTokens {
    BlockTokens { kept_tokens: codes.len(), values: TokenValues::Codes(codes.to_vec()) }
}

fn means(kept_tokens: usize, means: &[f32]) -> BlockTokens {
    BlockTokens { kept_tokens, values: TokenValues::Means(means.to_vec()) }
}

/// Three frames make two blocks; the second is filled up.
fn small() -> TokenFile {
    TokenFile::new(header(fsq(), 3), vec![codes(&[1, 23, 4]), codes(&[7])]).unwrap()
}

fn small_vae() -> TokenFile {
    TokenFile::new(header(vae(), 3), vec![means(2, &[0.5, -1.0, 1e-30, 3.0]), means(1, &[0.0, -0.0])]).unwrap()
}

fn error(bytes: &[u8]) -> String {
    TokenFile::read(bytes).expect_err("these bytes are no token file").to_string()
}

/// Replaces the part of `file` from `offset` and makes all checks right again, as somebody would who means harm.
fn forged(file: &[u8], offset: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = file[..file.len() - 32].to_vec();
    bytes[offset..offset + with.len()].copy_from_slice(with);
    seal(bytes)
}

/// Makes the checks of a [`small`] file's parts right, whatever its header's length says, and adds the hash.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let header = 24 + u64::from_le_bytes(bytes[16..24].try_into().unwrap()) as usize;
    let check = |bytes: &[u8]| blake3::hash(bytes).as_bytes()[..4].to_vec();
    let of_header = check(&bytes[..header]);
    bytes[header..header + 4].copy_from_slice(&of_header);
    let blocks = header + 4;
    for (start, length) in [(blocks, 6), (blocks + 10, 5)] {
        let of_block = check(&bytes[start..start + length]);
        bytes[start + length..start + length + 4].copy_from_slice(&of_block);
    }
    let hash = blake3::hash(&bytes);
    [&bytes[..], hash.as_bytes()].concat()
}

/// Where the blocks of [`small`] start.
fn blocks_of(file: &[u8]) -> usize {
    28 + u64::from_le_bytes(file[16..24].try_into().unwrap()) as usize
}

/// [`small`] with another header of any length.
fn with_header(change: impl Fn(&str) -> String) -> Vec<u8> {
    let file = small().write();
    let blocks = blocks_of(&file);
    let header = change(std::str::from_utf8(&file[24..blocks - 4]).unwrap());
    let length = (header.len() as u64).to_le_bytes();
    let parts = [&file[..16], &length, header.as_bytes(), &[0; 4], &file[blocks..file.len() - 32]];
    seal(parts.concat())
}

#[test]
fn the_bytes_of_a_small_file_by_hand() {
    let file = small().write();
    let blocks = blocks_of(&file);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // Magic, version 1, two blocks; the header's length is counted below.
    assert_eq!(hex(&file[..16]), "8945544f4b0d0a1a0100000002000000");
    assert_eq!(
        std::str::from_utf8(&file[24..blocks - 4]).unwrap(),
        concat!(
            r#"{"model":{"width":8,"hidden":12,"heads":2,"encoder_layers":1,"decoder_layers":1,"rope_theta":10000.0,"#,
            r#""norm_epsilon":0.00001,"init_std":0.02,"mask_conditioning":true,"#,
            r#""block":{"frames":2,"height":4,"width":4,"patch":[1,4,2]},"bottleneck":{"kind":"fsq","levels":[8,3]}},"#,
            r#""weights_hash":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","#,
            r#""source":{"name":"a.gif","width":9,"height":7,"frames":3,"frames_per_second":12.5},"#,
            r#""fit":{"resized":[5,4],"crop":[1,0]},"window":4,"search":{"strategy":"binary","threshold":0.1}}"#
        )
    );
    // 24 codes need 5 bits. 1, 23, 4 = 00100 10111 00001 from the highest bit: 0 0010010 | 11100001 = 12e1.
    assert_eq!(hex(&file[blocks..blocks + 6]), "03000000e112");
    // 7 = 00111.
    assert_eq!(hex(&file[blocks + 10..blocks + 15]), "0100000007");
    assert_eq!(file.len(), blocks + 10 + 9 + 32);
    // The checks, as b3sum would give them.
    assert_eq!(file[blocks + 6..blocks + 10], blake3::hash(&file[blocks..blocks + 6]).as_bytes()[..4]);
    assert_eq!(file[file.len() - 32..], *blake3::hash(&file[..file.len() - 32]).as_bytes());

    // 0.5, -1, 1e-30, 3 as f32.
    let file = small_vae().write();
    let blocks = blocks_of(&file);
    assert_eq!(hex(&file[blocks..blocks + 20]), "020000000000003f000080bf6042a20d00004040");
}

#[test]
fn the_hash_of_what_was_encoded_is_kept_as_64_digits() {
    let small = small();
    let mut header = small.header().clone();
    header.source.hash = Some(blake3::Hash::from_bytes([7; 32]));
    let file = TokenFile::new(header, small.blocks().to_vec()).unwrap();
    let written = file.write();
    let digits = format!(r#""source":{{"name":"a.gif","hash":"{}","width":9"#, "07".repeat(32));
    assert!(written.windows(digits.len()).any(|bytes| bytes == digits.as_bytes()));
    assert_eq!(TokenFile::read(&written).unwrap(), file);
}

/// Files written by version 1, kept: they must be readable for ever, and the same is written today.
#[test]
fn files_that_were_written_before_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tokens");
    for (name, file) in [("fsq.etok", small()), ("vae.etok", small_vae())] {
        let kept = std::fs::read(folder.join(name)).unwrap();
        assert_eq!(TokenFile::read(&kept).unwrap(), file, "{name}");
        assert_eq!(file.write(), kept, "{name}");
    }
}

#[test]
fn every_truncation_is_an_error_that_says_where() {
    for file in [small().write(), small_vae().write()] {
        for length in 0..file.len() {
            let error = TokenFile::read(&file[..length]).expect_err("a part of a file");
            match error {
                TokenFileError::NotATokenFile { .. } => assert_eq!(length, 0),
                TokenFileError::Truncated { offset, needed, left, .. } => {
                    assert!(offset + left == length && needed > left as u64, "{length}: {error}");
                }
                _ => panic!("{length} bytes: {error}"),
            }
        }
    }
    let file = small().write();
    assert!(
        error(&file[..blocks_of(&file) + 5]).starts_with("block 0 at byte "),
        "{}",
        error(&file[..blocks_of(&file) + 5])
    );
    assert_eq!(
        error(b"\x89PNG\r\n\x1a\n").split(';').next().unwrap(),
        "this is no token file: it starts with [89, 50, 4e, 47, 0d, 0a, 1a, 0a]"
    );
}

#[test]
fn every_flipped_bit_is_an_error_and_damage_of_a_part_names_it() {
    for file in [small().write(), small_vae().write()] {
        let blocks = blocks_of(&file);
        let end = file.len() - 32;
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = TokenFile::read(&damaged).expect_err("a damaged file");
            let place = bit / 8;
            let part = match error {
                TokenFileError::Damaged { part, .. } | TokenFileError::Truncated { part, .. } => part,
                TokenFileError::NotATokenFile { .. } => {
                    assert!(place < 8);
                    continue;
                }
                TokenFileError::Version { .. } => {
                    assert!((8..12).contains(&place));
                    continue;
                }
                _ => panic!("bit {bit}: {error}"),
            };
            let expected = match place {
                0..24 => &[Part::Header][..],
                _ if place < blocks => &[Part::Header],
                // A changed count moves the block's end, and what follows.
                _ if place < end => &[Part::Block(0), Part::Block(1)],
                _ => &[Part::Checksum],
            };
            assert!(expected.contains(&part), "bit {bit}: {error}");
        }
    }
}

#[test]
fn forged_files_are_refused_with_the_value_that_lies() {
    let file = small().write();
    let blocks = blocks_of(&file);
    let cases: &[(usize, &[u8], &str)] = &[
        (8, &[9, 0, 0, 0], "the token file has version 9, this program reads version 1: use a newer elastictok"),
        (12, &[3, 0, 0, 0], "the token file has 3 blocks, but 3 frames at 2 a block make 2"),
        (12, &[0xff; 4], "the token file has 4294967295 blocks"),
        (blocks + 5, &[0x92], "block 0: the bits that fill the byte 0x92 at byte "),
        // 24 = 11000.
        (blocks + 14, &[24], &format!("block 1 at byte {}: token 0 has code 24, the codebook has 24", blocks + 10)),
    ];
    for (offset, with, expected) in cases {
        let error = error(&forged(&file, *offset, with));
        assert!(error.starts_with(expected), "{error}\nis not\n{expected}");
    }
    // Counts: all tokens of a block are 4; five need 4 bytes instead of 2. No tokens at all.
    for (count, payload) in [(5_u32, &[0; 4][..]), (0, &[])] {
        let block = [&count.to_le_bytes(), payload].concat();
        let check = blake3::hash(&block).as_bytes()[..4].to_vec();
        let error = error(&[&file[..blocks], &block, &check, &[0; 99]].concat());
        let expected = format!("block 0 at byte {blocks}: it keeps {count} tokens, a block of this model has 1 to 4");
        assert_eq!(error, expected);
    }
    // A count that no file fills.
    let error_of_count = error(&forged(&file, blocks, &u32::MAX.to_le_bytes()));
    assert!(error_of_count.contains("needs 2684354560 bytes"), "{error_of_count}");
    // A header of 2⁶⁰ bytes.
    let mut long = file.clone();
    long[16..24].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    assert!(error(&long).starts_with("the header at byte 24 needs 1152921504606846976 bytes"), "{}", error(&long));
    // Bytes behind the end.
    let error_of_more = error(&[&file[..], &[0]].concat());
    assert_eq!(error_of_more, format!("the token file ends at byte {}, but 1 more bytes follow", file.len()));
}

#[test]
fn hostile_headers_are_refused() {
    assert_eq!(TokenFile::read(&with_header(str::to_owned)).unwrap(), small(), "an unchanged header is read");
    let cases = [
        (r#""width":9"#, r#""width":0"#, "the header has source.width = 0: must be at least 1"),
        (r#""width":9"#, r#""width":-9"#, "invalid value: integer `-9`"),
        (r#""frames":3"#, r#""frames":5"#, "the token file has 2 blocks, but 5 frames at 2 a block make 3"),
        (r#""frames":3"#, r#""frames":18446744073709551615"#, "make 9223372036854775808"),
        ("12.5", "-1.0", "the header has source.frames_per_second = -1"),
        ("12.5", "null", "the header has source.frames_per_second = null: a clip of several frames has a rate"),
        ("12.5", "1e999", "number out of range"),
        (r#""crop":[1,0]"#, r#""crop":[2,0]"#, "the header has fit.crop = [2, 0]: the model's frame of [4, 4]"),
        (
            r#""crop":[1,0]"#,
            r#""crop":[18446744073709551615,0]"#,
            "the header has fit.crop = [18446744073709551615, 0]",
        ),
        (r#""threshold":0.1"#, r#""threshold":0"#, "the header has search.threshold = 0"),
        (r#""levels":[8,3]"#, r#""levels":[8,1]"#, "the header's model cannot be: model.fsq_levels = [8, 1]"),
        (r#""levels":[8,3]"#, r#""levels":[256,256,256,256]"#, "the codebook must have at most 2³¹ codes"),
        (r#""heads":2"#, r#""heads":3"#, "the header's model cannot be: model.heads = 3"),
        (r#""patch":[1,4,2]"#, r#""patch":[1,4,0]"#, "the header's model cannot be: model.patch"),
        (r#""frames":2"#, r#""frames":4611686018427387904"#, "the header's model cannot be: model.block = "),
        (r#""kind":"fsq","levels":[8,3]"#, r#""kind":"vae","dim":9223372036854775808"#, "need 1 to 65536 dimensions"),
        (r#""weights_hash":"00"#, r#""weights_hash":"x0"#, "the hash \"x0"),
        (r#""search""#, r#""seek""#, "unknown field `seek`"),
        (r#"{"model""#, r#"["model""#, "cannot be read"),
    ];
    for (from, to, expected) in cases {
        let bytes = with_header(|header| {
            assert!(header.contains(from), "{from} is not in the header");
            header.replacen(from, to, 1)
        });
        let error = error(&bytes);
        assert!(error.contains(expected), "{to}: {error}\ndoes not say\n{expected}");
    }
    let deep = with_header(|_| "[".repeat(100_000));
    assert!(error(&deep).contains("cannot be read"), "{}", error(&deep));
}

#[test]
fn means_that_are_no_numbers_are_neither_written_nor_read() {
    for mean in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let written = TokenFile::new(header(vae(), 2), vec![means(2, &[0.0, 0.0, mean, 0.0])]).unwrap_err();
        assert_eq!(written.to_string(), format!("block 0: token 1 has the mean {mean}"));
        let file = TokenFile::new(header(vae(), 2), vec![means(1, &[0.0, 0.0])]).unwrap().write();
        let start = blocks_of(&file);
        let block = [&1_u32.to_le_bytes()[..], &mean.to_le_bytes(), &[0; 4]].concat();
        let check = blake3::hash(&block).as_bytes()[..4].to_vec();
        let error = error(&[&file[..start], &block, &check, &[0; 32]].concat());
        assert_eq!(error, format!("block 0 at byte {start}: token 0 has the mean {mean}"));
    }
}

#[test]
fn tokens_of_another_model_are_not_written() {
    let new = |model, blocks| TokenFile::new(header(model, 2), blocks).unwrap_err().to_string();
    assert_eq!(new(fsq(), vec![codes(&[24])]), "block 0: token 0 has code 24, the codebook has 24");
    assert_eq!(new(vae(), vec![codes(&[0])]), "block 0: it holds codes, the model's bottleneck makes means");
    assert_eq!(new(vae(), vec![means(2, &[0.0; 3])]), "block 0: it holds 3 values for 2 kept tokens, which have 4");
    assert_eq!(new(fsq(), vec![codes(&[0; 5])]), "block 0: it keeps 5 tokens, a block of this model has 1 to 4");
    assert_eq!(new(fsq(), vec![]), "the token file has 0 blocks, but 2 frames at 2 a block make 1");
}

#[test]
fn a_file_wants_its_model_and_its_weights() {
    let (file, weights) = (small(), weights());
    file.matches(&fsq(), weights).unwrap();
    let other = blake3::hash(b"other");
    let error = file.matches(&fsq(), other).unwrap_err().to_string();
    assert_eq!(error, format!("the tokens need the weights {weights}, the checkpoint has {other}"));
    let error = file.matches(&ModelConfig { heads: 4, ..fsq() }, weights).unwrap_err().to_string();
    assert!(
        error.starts_with("the checkpoint is another model: model.heads is 4, the tokens were made with 2;"),
        "{error}"
    );
    let error = file.matches(&vae(), weights).unwrap_err().to_string();
    assert!(error.contains("model.bottleneck.") && error.contains(&weights.to_string()), "{error}");
}

/// Any levels whose codebook is small enough, and blocks of codes below it.
fn fsq_files() -> impl Strategy<Value = TokenFile> {
    let levels = prop::collection::vec(2_usize..=256, 1..4);
    let blocks = prop::collection::vec(prop::collection::vec(any::<u32>(), 1..=4), 1..6);
    (levels, blocks, any::<String>(), 1_usize..=2).prop_map(|(levels, blocks, name, last)| {
        let codebook = levels.iter().product::<usize>() as u32;
        let reduced = |block: &Vec<u32>| codes(&block.iter().map(|code| code % codebook).collect::<Vec<_>>());
        let mut header = header(model(Bottleneck::Fsq { levels }), 2 * (blocks.len() - 1) + last);
        (header.source.name, header.search) = (name, None);
        TokenFile::new(header, blocks.iter().map(reduced).collect()).unwrap()
    })
}

fn vae_files() -> impl Strategy<Value = TokenFile> {
    let block = prop::collection::vec([any::<f32>(), any::<f32>()], 1..=4);
    prop::collection::vec(block, 1..6).prop_map(|blocks| {
        let finite = |mean: &f32| if mean.is_finite() { *mean } else { 0.0 };
        let block = |block: &Vec<[f32; 2]>| means(block.len(), &block.iter().flatten().map(finite).collect::<Vec<_>>());
        TokenFile::new(header(vae(), 2 * blocks.len()), blocks.iter().map(block).collect()).unwrap()
    })
}

/// One way to change bytes: at a place (a share of the length), these.
#[derive(Clone, Debug)]
enum Change {
    Overwrite(Vec<u8>),
    Insert(Vec<u8>),
    Remove(usize),
}

fn changes() -> impl Strategy<Value = Vec<(f64, Change)>> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..9);
    let change = prop_oneof![
        bytes().prop_map(Change::Overwrite),
        bytes().prop_map(Change::Insert),
        (1_usize..9).prop_map(Change::Remove),
    ];
    prop::collection::vec((0.0..1.0, change), 1..4)
}

fn changed(file: &[u8], changes: &[(f64, Change)]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for (place, change) in changes {
        let place = (bytes.len() as f64 * place) as usize;
        let end = |length: usize| (place + length).min(bytes.len());
        match change {
            Change::Overwrite(with) => drop(bytes.splice(place..end(with.len()), with.iter().copied())),
            Change::Insert(with) => drop(bytes.splice(place..place, with.iter().copied())),
            Change::Remove(length) => drop(bytes.drain(place..end(*length))),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn what_is_written_is_read(file in prop_oneof![fsq_files(), vae_files()]) {
        let bytes = file.write();
        let read = TokenFile::read(&bytes).unwrap();
        prop_assert_eq!(&read, &file);
        prop_assert_eq!(read.write(), bytes);
        let bits = match bits_per_code(&file.header().model.bottleneck) {
            Some(bits) => u64::from(bits),
            None => 64,
        };
        let kept: usize = file.blocks().iter().map(|block| block.kept_tokens).sum();
        prop_assert_eq!(file.token_bits(), bits * kept as u64);
    }

    #[test]
    fn changed_files_are_refused(file in prop_oneof![fsq_files(), vae_files()], changes in changes()) {
        let bytes = file.write();
        let changed = changed(&bytes, &changes);
        prop_assert_eq!(TokenFile::read(&changed).is_ok(), changed == bytes);
    }

    /// Behind a start that is right, so that the reader gets further than the checks let it.
    #[test]
    fn forged_files_never_panic_and_what_is_read_can_be_written(
        at in 0.0..1.0, with in prop::collection::vec(any::<u8>(), 1..9),
    ) {
        let file = small().write();
        let room = file.len() - 32 - with.len();
        let offset = (room as f64 * at) as usize;
        // A header's length that reaches past the file cannot be sealed.
        prop_assume!(offset >= 24 || offset + with.len() <= 16);
        let bytes = forged(&file, offset, &with);
        if let Ok(read) = TokenFile::read(&bytes) {
            prop_assert_eq!(TokenFile::read(&read.write()).unwrap(), read);
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(TokenFile::read(&bytes).is_err());
    }
}
