//! Decoding from tokens alone gives, bit for bit, what the encoding side reconstructed.

use engine::Precision;
use engine::{
    BlockSequence, BlockShape, BlockTokens, Bottleneck, ElasticTok, Encoding, ModelConfig, TokenValues,
    reconstruct_from_tokens,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

fn model(width: usize, side: usize, bottleneck: Bottleneck) -> ElasticTok {
    let config = ModelConfig {
        width,
        hidden: 2 * width,
        heads: 4,
        encoder_layers: 2,
        decoder_layers: 2,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.2,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(2, side, side, [2, 4, 4]).unwrap(),
        bottleneck,
    };
    ElasticTok::new(config, 3).unwrap()
}

fn patches(model: &ElasticTok, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..model.config().block.values()).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn tokens_alone_reconstruct_every_block_of_a_sequence_bit_for_bit() {
    let fsq = Bottleneck::Fsq { levels: vec![8, 8, 8, 5, 5, 5] };
    for bottleneck in [fsq, Bottleneck::Vae { dim: 5 }] {
        // 4, 16 and 64 tokens a block.
        for (width, side) in [(16, 8), (16, 16), (96, 32)] {
            for window in [usize::MAX, 2, 0] {
                let model = model(width, side, bottleneck.clone());
                let all = model.config().block.tokens();
                let mut sequence = BlockSequence::with_window(&model, Encoding::PerCount, window);
                let (mut tokens, mut expected) = (Vec::new(), Vec::new());
                for (number, kept_tokens) in [all, 1, all / 2, 3, 2].into_iter().enumerate() {
                    let block = patches(&model, number as u64);
                    let committed = sequence.commit(&block, kept_tokens);
                    tokens.push(BlockTokens::of(&committed, kept_tokens));
                    expected.push(bits(&committed.reconstruction));
                    let decoded = reconstruct_from_tokens(&model, window, &tokens).unwrap();
                    let decoded: Vec<_> = decoded.iter().map(|block| bits(block)).collect();
                    assert!(decoded == expected, "{bottleneck:?}, {all} tokens, window {window}: after {number}");
                }
                // What came before is seen, but only through the window.
                let alone = reconstruct_from_tokens(&model, window, &tokens[4..]).unwrap();
                assert_eq!(bits(&alone[0]) == expected[4], window == 0);
            }
        }
    }
}

#[test]
fn a_candidate_is_the_one_that_its_tokens_decode_to() {
    let model = model(32, 16, Bottleneck::Fsq { levels: vec![8, 5, 5] });
    let block = patches(&model, 1);
    for kept in [1, 5, 16, 2] {
        let mut sequence = BlockSequence::new(&model, Encoding::PerCount);
        let candidate = sequence.next(&block).reconstruct(&[kept]).remove(0);
        let tokens = BlockTokens::of(&sequence.commit(&block, kept), kept);
        let decoded = reconstruct_from_tokens(&model, usize::MAX, &[tokens]).unwrap();
        assert_eq!(bits(&decoded[0]), bits(&candidate), "{kept} tokens");
    }
}

#[test]
fn tokens_that_the_model_cannot_have_made_are_refused() {
    let model = model(16, 8, Bottleneck::Fsq { levels: vec![8, 5, 5] });
    let good = BlockTokens { kept_tokens: 1, values: TokenValues::Codes(vec![199]) };
    let bad = BlockTokens { kept_tokens: 1, values: TokenValues::Codes(vec![200]) };
    let error = reconstruct_from_tokens(&model, usize::MAX, &[good, bad]).unwrap_err();
    assert_eq!(error.to_string(), "block 1 cannot be decoded: token 0 has code 200, the codebook has 200");
}
