//! How long a search takes to answer, and how often its answer is right.
//!
//! Each picture is asked to be as good as its model makes it with n tokens, n being spread evenly over the pictures: one
//! threshold for all would be met near one end of a model's range, and ask little of a search. The threshold lies halfway
//! between what n tokens give and what one fewer does, so that neither rounding nor whether equality meets it decides.

use crate::frames::Frames;
use anyhow::{Result, ensure};
use engine::data::to_block;
use engine::{ElasticTok, TokenRange};
use evaluator::encode::{Budget, Encoder, Searched};
use evaluator::search::{Full, SearchStrategy, meets, parse};
use evaluator::statistics::{mean, median};
use evaluator::sweep::Progress;
use rayon::ThreadPool;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Searches that are timed: the reference's, and those that find the fewest tokens wherever distortion falls.
const TIMED: [&str; 4] = ["binary-release", "binary", "kary(3)", "interpolate"];

/// In a range of so many counts every one below an answer is asked, so that the fewest tokens that meet are known.
const EVERY_COUNT: usize = 1024;
/// In a larger range, so many.
const NEAREST: usize = 64;

/// A block, and how good it must become.
pub(super) struct Question {
    block: Vec<f32>,
    threshold: f64,
    /// The fewest tokens that are known to meet it.
    fewest: usize,
}

/// What one search answered.
struct Answer {
    kept_tokens: usize,
    is_met: bool,
    /// Whether it is the fewest tokens that are known to meet.
    is_fewest: bool,
    evaluations: usize,
    /// How often it waited for the model.
    waits: usize,
    /// In each pool of threads.
    seconds: [f64; 2],
}

/// What each model is asked, one question a picture.
pub(super) fn questions(
    models: &[ElasticTok],
    pictures: &[PathBuf],
    pool: &ThreadPool,
    progress: &dyn Progress,
) -> Result<Vec<Vec<Question>>> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let mut done = 0;
    progress.begin("questions", done, (models.len() * pictures.len()) as u64);
    let mut of_model = |model: &ElasticTok| {
        let (encoder, range, shape) = (encoder(model), range(model)?, model.config().block);
        let question = |(number, picture): (usize, &PathBuf)| {
            let place = (number as f64 + 0.5) / pictures.len() as f64;
            let frames = Frames::open(picture, shape, None)?.next_block(shape.frames)?;
            let question = pool.install(|| Question::new(&encoder, to_block(&frames, shape), range, place))?;
            done += 1;
            progress.advance(done, "");
            Ok(question)
        };
        pictures.iter().enumerate().map(question).collect()
    };
    let questions = models.iter().map(&mut of_model).collect();
    progress.end();
    questions
}

/// The table of what all searches answer; `rates` are the models' evaluations a second in large batches.
pub(super) fn table(
    models: &[ElasticTok],
    questions: &[Vec<Question>],
    rates: &[[f64; 2]],
    pools: &[ThreadPool; 2],
    rounds: u16,
    progress: &dyn Progress,
) -> Result<String> {
    let (pictures, threads) = (questions.first().map_or(0, Vec::len), pools[1].current_num_threads());
    let mut text = format!(
        "searches for the fewest tokens that meet a threshold, of a sixteenth to all; means of {pictures} pictures, seconds \
         of medians of {rounds} rounds. Fewest: of all counts, or, of more than {EVERY_COUNT}, of the {NEAREST} below and of \
         those that any search asked. full is reckoned by the rate of its batches\n\n\
         | tokens | search         | kept tokens | evaluations | waits | 1 thread s | {threads} threads s | ÷ reference | \
         fewest % | misses τ % |\n\
         |-------:|----------------|------------:|------------:|------:|-----------:|------------:|------------:|\
         ---------:|-----------:|\n"
    );
    let strategies = TIMED.map(|name| parse(name).expect("a strategy's name"));
    let mut done = 0;
    progress.begin("answers", done, (models.len() * pictures) as u64);
    for ((model, questions), rates) in models.iter().zip(questions).zip(rates) {
        let (encoder, range) = (encoder(model), range(model)?);
        let answers = questions.iter().map(|question| {
            let answers = question.answers(&encoder, range, &strategies, pools, rounds);
            done += 1;
            progress.advance(done, "");
            answers
        });
        text += &lines(range, &answers.collect::<Result<Vec<_>>>()?, *rates)?;
    }
    progress.end();
    Ok(text)
}

/// One model's lines, of its answers by question and by strategy.
fn lines(range: TokenRange, answers: &[Vec<Answer>], rates: [f64; 2]) -> Result<String> {
    let (tokens, mut text) = (range.max(), String::new());
    let of = |strategy: usize, value: &dyn Fn(&Answer) -> f64| {
        mean(&answers.iter().map(|answers| value(&answers[strategy])).collect::<Vec<_>>())
    };
    let seconds = |strategy: usize| [0, 1].map(|pool| of(strategy, &|answer| answer.seconds[pool]));
    let [_, reference] = seconds(0);
    for (i, name) in TIMED.iter().enumerate() {
        let ([one, all], kept) = (seconds(i), of(i, &|answer| answer.kept_tokens as f64));
        let (evaluations, waits) = (of(i, &|answer| answer.evaluations as f64), of(i, &|answer| answer.waits as f64));
        let (fewest, misses) = (of(i, &|answer| answer.is_fewest.into()), of(i, &|answer| (!answer.is_met).into()));
        writeln!(
            text,
            "| {tokens:>6} | {name:<14} | {kept:>11.1} | {evaluations:>11.1} | {waits:>5.1} | {one:>10.3} | {all:>11.3} | \
             {:>11.2} | {:>8.0} | {:>10.0} |",
            all / reference,
            100.0 * fewest,
            100.0 * misses
        )?;
    }
    let all = range.len() as f64;
    let [one, many] = rates.map(|rate| all / rate);
    writeln!(
        text,
        "| {tokens:>6} | full           |           – | {all:>11.1} |     – | {one:>10.3} | {many:>11.3} | {:>11.2} |      100 \
         |          0 |",
        many / reference
    )?;
    Ok(text)
}

/// Searches are asked for by hand.
static NO_SEARCH: Budget = Budget::Tokens(1);

fn encoder(model: &ElasticTok) -> Encoder<'_> {
    Encoder::new(model, 0, &NO_SEARCH)
}

/// From a sixteenth of all tokens, as in the paper.
fn range(model: &ElasticTok) -> Result<TokenRange> {
    let tokens = model.config().block.tokens();
    ensure!(tokens > 1, "a model of one token a block leaves nothing to search for");
    Ok(TokenRange::new(tokens.div_ceil(16), tokens)?)
}

impl Question {
    /// `place`, 0 to 1, is where its answer lies in the range.
    fn new(encoder: &Encoder<'_>, block: Vec<f32>, range: TokenRange, place: f64) -> Result<Self> {
        let count = range.min() + 1 + (place * (range.len() - 2) as f64) as usize;
        let below = if range.len() <= EVERY_COUNT { range.len() } else { NEAREST };
        let asked = TokenRange::new(count.saturating_sub(below).max(range.min()), count)?;
        let curve = encoder.search(&block, &Full, 0.0, asked)?.trace;
        let [.., (_, before), (_, at)] = curve[..] else { unreachable!("the range begins below the count") };
        let threshold = f64::midpoint(before, at);
        let fewest = curve.iter().find(|(_, distortion)| meets(*distortion, threshold));
        Ok(Self { block, threshold, fewest: fewest.expect("one of two meets what lies between them").0 })
    }

    /// Asks all strategies in turn, so that whatever else the machine does falls on all.
    fn answers(
        &self,
        encoder: &Encoder<'_>,
        range: TokenRange,
        strategies: &[Box<dyn SearchStrategy>],
        pools: &[ThreadPool; 2],
        rounds: u16,
    ) -> Result<Vec<Answer>> {
        let mut searches: Vec<_> = strategies.iter().map(|_| (None, [Vec::new(), Vec::new()])).collect();
        for _ in 0..rounds {
            for (strategy, (found, seconds)) in strategies.iter().zip(&mut searches) {
                for (pool, seconds) in pools.iter().zip(seconds) {
                    let strategy = strategy.as_ref();
                    let searched = pool.install(|| encoder.search(&self.block, strategy, self.threshold, range))?;
                    seconds.push(searched.cost.seconds.expect("the model was asked"));
                    *found = Some(searched);
                }
            }
        }
        let searches = searches.into_iter().map(|(found, seconds)| (found.expect("there is a round"), seconds));
        let searches: Vec<(Searched, _)> = searches.collect();
        let is_met = |(count, distortion): &(usize, f64)| meets(*distortion, self.threshold).then_some(*count);
        let meeting = searches.iter().flat_map(|(searched, _)| searched.trace.iter().filter_map(is_met));
        let fewest = meeting.fold(self.fewest, usize::min);
        let answers = searches.into_iter().map(|(Searched { kept_tokens, trace, cost }, seconds)| Answer {
            kept_tokens,
            is_met: trace.iter().filter_map(is_met).any(|count| count == kept_tokens),
            is_fewest: kept_tokens == fewest,
            evaluations: cost.evaluations.decoder,
            waits: cost.sequential_depth,
            seconds: seconds.map(|seconds| median(&seconds)),
        });
        Ok(answers.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{BlockSequence, BlockShape, Bottleneck, Encoding, ModelConfig, Precision};
    use evaluator::metric;

    /// Fresh weights: a curve that rises as often as it falls.
    fn model() -> ElasticTok {
        let config = ModelConfig {
            width: 16,
            hidden: 24,
            heads: 2,
            encoder_layers: 1,
            decoder_layers: 1,
            rope_theta: 1e4,
            norm_epsilon: 1e-5,
            init_std: 0.2,
            mask_conditioning: true,
            precision: Precision::F32,
            block: BlockShape::new(1, 32, 32, [1, 4, 4]).unwrap(),
            bottleneck: Bottleneck::Fsq { levels: vec![8, 5, 5] },
        };
        ElasticTok::new(config, 1).unwrap()
    }

    #[test]
    fn answers_are_judged_by_what_every_count_gives() {
        let model = model();
        let (encoder, range) = (encoder(&model), range(&model).unwrap());
        let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
        let strategies = ["full", "binary"].map(|name| parse(name).unwrap());
        let mut wrong = 0;
        for place in 0..8 {
            let block: Vec<f32> = (0..3072).map(|i| ((i * 37 + place * 11) % 101) as f32 / 50.5 - 1.0).collect();
            let question = Question::new(&encoder, block.clone(), range, (place as f64 + 0.5) / 8.0).unwrap();
            let sequence = BlockSequence::new(&model, Encoding::PerCount);
            let made = sequence.next(&block).reconstruct(&range.counts().collect::<Vec<_>>());
            let met: Vec<bool> = made.iter().map(|made| metric::mse(&block, made) <= question.threshold).collect();
            let fewest = 4 + met.iter().position(|met| *met).unwrap();
            let answers = question.answers(&encoder, range, &strategies, &pools, 1).unwrap();
            let [full, binary] = &answers[..] else { panic!("two strategies") };
            assert_eq!((full.kept_tokens, full.is_met, full.is_fewest), (fewest, true, true));
            assert_eq!((full.evaluations, full.waits), (61, 1));
            assert_eq!(binary.is_met, met[binary.kept_tokens - 4]);
            assert_eq!(binary.is_fewest, binary.kept_tokens == fewest);
            wrong += usize::from(!binary.is_fewest);
        }
        assert!(wrong > 0, "a curve that rises must mislead bisection somewhere");
    }
}
