//! What must hold for any weights: causality, independence, gradients that are derivatives, sums of gradients.

use dfdx::tensor::{Trace as _, WithEmptyTape as _};
use dfdx::tensor_ops::{Backward as _, SumTo as _};
use engine::Precision;
use engine::bottleneck::Fsq;
use engine::ops::{self, FeedForward, RopeTable, Scope};
use engine::parameters::Parameters;
use engine::tensor::{Tape, Tokens, tokens, value, values, values_mut};
use engine::{BlockSequence, BlockShape, Bottleneck, ElasticTok, Encoding, Layout, ModelConfig, PrefixMask};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

fn model(bottleneck: Bottleneck) -> ElasticTok {
    let config = ModelConfig {
        width: 24,
        hidden: 40,
        heads: 3,
        encoder_layers: 2,
        decoder_layers: 1,
        rope_theta: 1e4,
        norm_epsilon: 1e-5,
        init_std: 0.3,
        mask_conditioning: true,
        precision: Precision::F32,
        block: BlockShape::new(2, 8, 12, [2, 4, 4]).unwrap(),
        bottleneck,
    };
    ElasticTok::new(config, 3).unwrap()
}

fn fsq() -> Bottleneck {
    Bottleneck::Fsq { levels: vec![8, 5, 5] }
}

fn vae() -> Bottleneck {
    Bottleneck::Vae { dim: 3 }
}

/// Random patches for `blocks` blocks.
fn patches(model: &ElasticTok, blocks: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..blocks * model.config().block.values()).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn as_tokens(model: &ElasticTok, patches: &[f32]) -> Tokens {
    let width = model.config().block.patch_values();
    tokens(patches.to_vec(), patches.len() / width, width)
}

#[test]
fn a_configuration_counts_the_weights_that_its_model_has() {
    for bottleneck in [fsq(), vae()] {
        let model = model(bottleneck);
        let mut count = 0;
        model.visit("", &mut |_, weight| count += values(weight).len());
        assert_eq!(model.config().parameter_count(), count);
    }
}

#[test]
fn changing_a_later_block_never_changes_an_earlier_output() {
    for bottleneck in [fsq(), vae()] {
        let model = model(bottleneck);
        let (scope, block) = (Scope::block_causal(model.layout(1, 4)), model.config().block.values());
        let original = patches(&model, 4, 1);
        let run = |patches: &[f32], kept: [usize; 4]| {
            let mask = PrefixMask::new(model.config().block.tokens(), kept.to_vec());
            values(&model.reconstruct(as_tokens(&model, patches), &mask, &scope)).to_vec()
        };
        let before = run(&original, [3, 6, 2, 5]);
        for changed in 1..4 {
            let mut other = original.clone();
            other[changed * block..].iter_mut().for_each(|value| *value = -*value);
            let mut kept = [3, 6, 2, 5];
            kept[changed] = 1;
            let after = run(&other, kept);
            assert_eq!(after[..changed * block], before[..changed * block], "block {changed} reached back");
            assert_ne!(after[changed * block..], before[changed * block..]);
        }
    }
}

#[test]
fn every_block_sees_the_blocks_before_it() {
    let model = model(vae());
    let (scope, block) = (Scope::block_causal(model.layout(1, 3)), model.config().block.values());
    let mask = PrefixMask::new(model.config().block.tokens(), vec![6; 3]);
    let original = patches(&model, 3, 1);
    let mut other = original.clone();
    other[..block].iter_mut().for_each(|value| *value = -*value);
    let run = |patches: &[f32]| values(&model.reconstruct(as_tokens(&model, patches), &mask, &scope)).to_vec();
    assert_ne!(run(&original)[2 * block..], run(&other)[2 * block..]);
}

#[test]
fn sequences_of_a_batch_do_not_see_one_another() {
    let model = model(fsq());
    let (a, b) = (patches(&model, 2, 1), patches(&model, 2, 2));
    let tokens_per_block = model.config().block.tokens();
    let together = model.reconstruct(
        as_tokens(&model, &[a.as_slice(), &b].concat()),
        &PrefixMask::new(tokens_per_block, vec![4, 2, 6, 1]),
        &Scope::block_causal(model.layout(2, 2)),
    );
    let alone = model.reconstruct(
        as_tokens(&model, &b),
        &PrefixMask::new(tokens_per_block, vec![6, 1]),
        &Scope::block_causal(model.layout(1, 2)),
    );
    let difference = values(&together)[a.len()..].iter().zip(values(&alone)).map(|(x, y)| (x - y).abs());
    assert!(difference.fold(0.0, f32::max) < 1e-6);
}

#[test]
fn what_a_dropped_token_says_never_changes_the_output() {
    for bottleneck in [fsq(), vae()] {
        let model = model(bottleneck);
        let scope = Scope::block_causal(model.layout(1, 2));
        let mask = PrefixMask::new(model.config().block.tokens(), vec![2, 5]);
        let h = model.encode(as_tokens(&model, &patches(&model, 2, 1)), &mask, &scope);
        let dims = model.config().bottleneck.input_width();
        let mut shouting = values(&h).to_vec();
        for (token, said) in shouting.chunks_mut(dims).enumerate() {
            if !mask.keeps(token) {
                said.iter_mut().for_each(|value| *value += 100.0);
            }
        }
        let shouting = tokens(shouting, mask.tokens(), dims);
        let decode = |h: Tokens| values(&model.decode(model.bottleneck(h, None, &mask), &scope)).to_vec();
        assert_eq!(decode(h), decode(shouting));
    }
}

#[test]
fn candidates_are_the_sequences_they_stand_for() {
    let model = model(fsq());
    let block = model.config().block;
    let blocks: Vec<Vec<f32>> = patches(&model, 3, 5).chunks(block.values()).map(<[f32]>::to_vec).collect();
    let mut sequence = BlockSequence::new(&model, Encoding::PerCount);
    sequence.commit(&blocks[0], 4);
    sequence.commit(&blocks[1], 2);
    let candidates = sequence.next(&blocks[2]).reconstruct(&[1, 5, 6]);
    for (candidate, kept) in candidates.iter().zip([1, 5, 6]) {
        let mask = PrefixMask::new(block.tokens(), vec![4, 2, kept]);
        let whole =
            model.reconstruct(as_tokens(&model, &blocks.concat()), &mask, &Scope::block_causal(model.layout(1, 3)));
        let last = &values(&whole)[2 * block.values()..];
        let worst = candidate.iter().zip(last).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Tiles of keys are cut where fixed blocks end: the same sums in another order.
        assert!(worst < 3e-6, "{kept} tokens: {worst:e}");
    }
}

/// More than go through the model together.
#[test]
fn a_candidate_is_the_same_beside_any_others() {
    let model = model(fsq());
    let blocks = patches(&model, 2, 5);
    let (first, second) = blocks.split_at(model.config().block.values());
    for encoding in [Encoding::PerCount, Encoding::Once] {
        let mut sequence = BlockSequence::new(&model, encoding);
        sequence.commit(first, 4);
        let next = sequence.next(second);
        let alone: Vec<_> = (1..=6).map(|kept| next.reconstruct(&[kept]).remove(0)).collect();
        let counts: Vec<usize> = (0..300).map(|i| 1 + i * i % 6).collect();
        let together = sequence.next(second).reconstruct(&counts);
        assert_eq!(together.len(), counts.len());
        for (kept, candidate) in counts.iter().zip(together) {
            assert_eq!(candidate, alone[kept - 1], "{kept} tokens");
        }
    }
}

#[test]
fn a_fixed_block_is_the_candidate_that_was_chosen() {
    for bottleneck in [fsq(), vae()] {
        let model = model(bottleneck);
        let blocks = patches(&model, 3, 5);
        for encoding in [Encoding::PerCount, Encoding::Once] {
            let mut sequence = BlockSequence::new(&model, encoding);
            for (block, kept) in blocks.chunks(model.config().block.values()).zip([3, 6, 1]) {
                let candidate = sequence.next(block).reconstruct(&[kept]).remove(0);
                let committed = sequence.commit(block, kept);
                assert_eq!(committed.reconstruction, candidate);
                assert_eq!(committed.latents.len(), kept * model.config().bottleneck.output_width());
            }
            assert_eq!(sequence.history(), [3, 6, 1]);
        }
    }
}

#[test]
fn a_window_bounds_what_is_remembered_and_without_one_blocks_stand_alone() {
    let model = model(fsq());
    let blocks: Vec<Vec<f32>> =
        patches(&model, 4, 5).chunks(model.config().block.values()).map(<[f32]>::to_vec).collect();
    let fixed = |window| {
        let mut sequence = BlockSequence::with_window(&model, Encoding::PerCount, window);
        let bytes = blocks[..3].iter().map(|block| {
            sequence.commit(block, 4);
            sequence.memory_bytes()
        });
        let bytes: Vec<usize> = bytes.collect();
        (bytes, sequence.next(&blocks[3]).reconstruct(&[5]).remove(0))
    };
    let config = model.config();
    // Keys and values of every layer, in f32.
    let block = config.block.tokens() * config.width * 2 * (config.encoder_layers + config.decoder_layers) * 4;
    let ((all, whole), (three, wide), (one, narrow), (none, alone)) = (fixed(usize::MAX), fixed(3), fixed(1), fixed(0));
    assert_eq!((all, three), (vec![block, 2 * block, 3 * block], vec![block, 2 * block, 3 * block]));
    assert_eq!((one, none), (vec![block; 3], vec![0; 3]));
    assert_eq!(wide, whole, "a window as long as the sequence is none");
    assert_ne!(narrow, whole);
    assert_eq!(alone, BlockSequence::new(&model, Encoding::PerCount).next(&blocks[3]).reconstruct(&[5]).remove(0));
}

/// Directional derivatives of the training loss in f32: coarse, but of every weight, and of nothing but the forward
/// pass. FSQ's rounding has no derivative, so only the VAE can be checked.
#[test]
fn without_mask_conditioning_encoding_once_is_exact_and_with_it_is_not() {
    let told = model(fsq());
    let config = ModelConfig { mask_conditioning: false, ..told.config().clone() };
    let untold = ElasticTok::new(config, 3).unwrap();
    for (model, exact) in [(&untold, true), (&told, false)] {
        let blocks = patches(model, 2, 1);
        let (first, second) = blocks.split_at(model.config().block.values());
        let reconstruct = |encoding| {
            let mut sequence = BlockSequence::new(model, encoding);
            sequence.commit(first, 4);
            sequence.next(second).reconstruct(&[1, 3, 6])
        };
        let (each, once) = (reconstruct(Encoding::PerCount), reconstruct(Encoding::Once));
        let difference = each.iter().flatten().zip(once.iter().flatten()).map(|(a, b)| (a - b).abs());
        let largest = difference.fold(0.0_f32, f32::max);
        assert_eq!(largest < 1e-5, exact, "largest difference {largest}");
    }
}

#[test]
fn codes_are_those_of_the_kept_tokens() {
    let model = model(fsq());
    let block = patches(&model, 1, 1);
    let codes = BlockSequence::new(&model, Encoding::PerCount).commit(&block, 5).codes.unwrap();
    let mask = PrefixMask::new(6, vec![5]);
    let h = model.encode(as_tokens(&model, &block), &mask, &Scope::block_causal(model.layout(1, 1)));
    let quantizer = Fsq::new(&[8, 5, 5]);
    let index = |h: &[f32]| quantizer.index(&[0, 1, 2].map(|dim| quantizer.code(dim, h[dim])));
    assert_eq!(codes, values(&h).chunks(3).take(5).map(index).collect::<Vec<_>>());
    assert_eq!(BlockSequence::new(&self::model(vae()), Encoding::PerCount).commit(&block, 5).codes, None);
}

#[test]
fn pooling_and_likelihood_have_the_gradients_of_their_values() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut draw = |n: usize| (0..n).map(|_| random.random_range(-1.0..1.0)).collect::<Vec<f32>>();
    // Two sequences of two blocks of three tokens; a mean and a deviation for each of two targets.
    let layout = Layout { sequences: 2, blocks: 2, tokens_per_block: 3 };
    let (x, target) = (tokens(draw(12 * 4), 12, 4), tokens(draw(2 * 2), 2, 2));
    let loss = |x: &Tokens| value(&ops::gaussian_nll(ops::pool_last_block(x.clone(), layout), &target));
    let taped = ops::gaussian_nll(ops::pool_last_block(x.leaky_trace(), layout), &target);
    let gradient = taped.backward().get_or_alloc_mut(&x).unwrap().clone();
    for (i, slope) in gradient.iter().enumerate() {
        let moved = |by: f32| {
            let mut moved = values(&x).to_vec();
            moved[i] += by;
            f64::from(loss(&tokens(moved, 12, 4)))
        };
        let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((f64::from(*slope) - numeric).abs() < 1e-3, "value {i}: {slope} against {numeric}");
    }
}

#[test]
fn gradients_are_derivatives_of_the_loss() {
    let mut model = model(vae());
    let x = as_tokens(&model, &patches(&model, 4, 1));
    let mask = PrefixMask::new(model.config().block.tokens(), vec![2, 6, 3, 5]);
    let scope = Scope::block_causal(model.layout(2, 2));
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let noise: Vec<f32> = (0..mask.tokens() * 3).map(|_| random.random_range(-1.0..1.0)).collect();
    let loss = |model: &ElasticTok| model.loss(x.leaky_trace(), &x, &mask, &scope, Some(noise.clone()), 1e-3).total;
    let mut grads = loss(&model).backward();
    let mut gradients = Vec::new();
    model.visit("", &mut |name, weight| {
        gradients.push((name.to_owned(), grads.get_or_alloc_mut(weight).unwrap().to_vec()));
    });
    for (index, (name, gradient)) in gradients.iter().enumerate() {
        // Along the gradient itself the derivative is its norm, the largest there is.
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let mut move_by = |length: f64| {
            let mut at = 0;
            model.visit_mut("", &mut |_, weight| {
                if at == index {
                    let direction = values_mut(weight).iter_mut().zip(gradient);
                    direction.for_each(|(w, g)| *w += (length * f64::from(*g) / norm) as f32);
                }
                at += 1;
            });
            f64::from(value(&loss(&model)))
        };
        let mut slope_over = |step: f64| {
            let (above, below) = (move_by(step), move_by(-2.0 * step));
            move_by(step);
            (above - below) / (2.0 * step)
        };
        // Richardson's extrapolation: the error of second order cancels.
        let slope = (4.0 * slope_over(5e-4) - slope_over(1e-3)) / 3.0;
        assert!((slope / norm - 1.0).abs() < 0.01, "{name}: slope {slope:e}, gradient {norm:e}");
    }
}

/// f(x) + f(x), both from the same x: its gradient must be twice that of one f(x).
#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    type Taped = Tokens<Tape>;
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut draw = |rows: usize, width: usize| -> Tokens {
        tokens((0..rows * width).map(|_| random.random_range(-1.0..1.0)).collect(), rows, width)
    };
    let (x, square, norm) = (draw(12, 12), draw(12, 12), draw(1, 12));
    let layout = Layout { sequences: 2, blocks: 2, tokens_per_block: 3 };
    let (scope, rope) = (Scope::block_causal(layout), RopeTable::new(6, 2, 1e4));
    let (mask, fsq) = (PrefixMask::new(3, vec![3; 4]), Fsq::new(&[5; 12]));
    let noise: Vec<f32> = values(&draw(12, 6)).to_vec();
    let feed_forward = FeedForward { norm: draw(1, 12), gate_up: draw(12, 10), down: draw(5, 12), epsilon: 1e-5 };
    let operations: [(&str, &dyn Fn(Taped) -> Taped); 8] = [
        ("linear", &|x| ops::linear(x, &square, Precision::F32)),
        ("rms_norm", &|x| ops::rms_norm(x, &norm, 1e-5)),
        ("attention", &|x| ops::attention(x, 2, &rope, &scope, Precision::F32)),
        ("norm_linear", &|x| ops::norm_linear(x, &norm, &square, 1e-5, Precision::F32)),
        ("feed_forward", &|x| ops::feed_forward(x, &feed_forward, Precision::F32)),
        ("norm_linear_tanh", &|x| ops::norm_linear_tanh(x, &norm, &square, 1e-5, Precision::F32)),
        ("quantize", &|x| ops::quantize(x, &fsq, &mask)),
        ("sample", &|x| ops::sample(x, Some(noise.clone()), &mask)),
    ];
    // Squares, so that the gradient that arrives differs from place to place.
    let gradient = |y: Taped| y.square().sum::<(), _>().backward().get(&x).as_vec();
    for (name, operation) in operations {
        let once = gradient(operation(x.leaky_trace()));
        let traced = x.leaky_trace();
        let first = operation(traced.with_empty_tape()).square().sum::<(), _>();
        let second = operation(traced).square().sum::<(), _>();
        let twice = (first + second).backward().get(&x).as_vec();
        assert!(once.iter().any(|g| *g != 0.0), "{name} has a gradient");
        for (once, twice) in once.iter().zip(twice) {
            assert!((twice - 2.0 * once).abs() <= 1e-5 * (1.0 + once.abs()), "{name}: {twice} is not 2 × {once}");
        }
    }
}

/// Many tiles, pieces of queries and pieces of keys, the last of each smaller: gradients are those of the formula, and the
/// same to the last bit on any number of threads.
#[test]
fn attention_over_many_tiles_has_the_gradient_of_the_formula() {
    const N: usize = 2500;
    const DIM: usize = 2;
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let qkv = tokens((0..N * 3 * DIM).map(|_| random.random_range(-1.5..1.5)).collect(), N, 3 * DIM);
    let layout = Layout { sequences: 1, blocks: 5, tokens_per_block: 500 };
    // Nobody is turned: all stand at position 0.
    let rope = RopeTable::at_positions(std::iter::repeat_n(0, N), DIM, 1e4);
    let gradient = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let y = ops::attention(qkv.leaky_trace(), 1, &rope, &Scope::block_causal(layout), Precision::F32);
            y.square().sum::<(), _>().backward().get(&qkv).as_vec()
        })
    };
    let found = gradient(1);
    assert_eq!(found, gradient(3), "on three threads");

    // In f64, row by row: y = Σ P·v, loss Σ y², so dy = 2y; dS = P∘(dy·v − Σ P∘(dy·v))/√d.
    let value = |row: usize, part: usize, i: usize| f64::from(values(&qkv)[row * 3 * DIM + part * DIM + i]);
    let scale = 1.0 / (DIM as f64).sqrt();
    let mut expected = vec![0.0; N * 3 * DIM];
    for row in 0..N {
        let seen = layout.reach(row);
        let dot = |a: [f64; DIM], b: [f64; DIM]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let part = |row, part| std::array::from_fn::<f64, DIM, _>(|i| value(row, part, i));
        let q = part(row, 0);
        let weights: Vec<f64> = (0..seen).map(|j| (scale * dot(q, part(j, 1))).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut dy = [0.0; DIM];
        for (j, weight) in weights.iter().enumerate() {
            part(j, 2).iter().zip(&mut dy).for_each(|(v, dy)| *dy += 2.0 * weight / sum * v);
        }
        let mean: f64 = weights.iter().enumerate().map(|(j, weight)| weight / sum * dot(dy, part(j, 2))).sum();
        for (j, weight) in weights.iter().enumerate() {
            let p = weight / sum;
            let ds = p * (dot(dy, part(j, 2)) - mean) * scale;
            for i in 0..DIM {
                expected[row * 3 * DIM + i] += ds * value(j, 1, i);
                expected[j * 3 * DIM + DIM + i] += ds * q[i];
                expected[j * 3 * DIM + 2 * DIM + i] += p * dy[i];
            }
        }
    }
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&mut found.iter().zip(&expected).map(|(f, e)| f64::from(*f) - e));
    let all = norm(&mut expected.iter().copied());
    assert!(off < 1e-5 * all, "off by {off} of {all}");
}
