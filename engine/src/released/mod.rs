//! Checkpoints of ElasticTok's released code become models of this engine.
//!
//! The released code writes parameters, or its whole training state, as a stream of msgpack entries (`stream.rs`) under
//! flax's names (`names.rs`). A file is read twice: once over its descriptions alone, to know before any memory is
//! taken that it holds the model asked for, and once to copy each weight to its place. Besides the model itself this
//! needs the memory of one row.

mod error;
mod names;
mod stream;

pub use error::{Mismatch, ReleasedError, WrongShape};
pub use names::{Source, sources};

use crate::error::EngineError;
use crate::model::{ElasticTok, ModelConfig};
use crate::parameters::Parameters as _;
use crate::tensor::{shape, values_mut};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use stream::Stream;

/// Reads the model of this shape from a released file of parameters, or from a whole training state.
///
/// `progress` is called with the weights filled so far and how many there are, counted in arrays of this engine.
///
/// # Errors
/// [`EngineError::Config`] for a configuration that cannot be, [`EngineError::File`] where the file is not there.
/// [`EngineError::Released`], before it takes the model's memory, where the file is not such a file, is cut short, or
/// holds another model than the configuration's; and later, where it holds a weight that is not finite.
pub fn import(
    path: &Path,
    config: ModelConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ElasticTok, EngineError> {
    config.check()?;
    let file = File::open(path).map_err(EngineError::file("cannot read", path))?;
    import_from(file, config, progress)
        .map_err(|source| EngineError::Released { path: path.to_owned(), source: Box::new(source) })
}

/// The same from anything that can be read twice.
///
/// # Errors
/// As [`import`], but for those of the configuration and of opening the file.
///
/// # Panics
/// If `config` does not pass [`ModelConfig::check`].
pub fn import_from(
    file: impl Read + Seek,
    config: ModelConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ElasticTok, ReleasedError> {
    let mut stream = Stream::scan(file)?;
    names::compare(&names::expected(&config), &stream.shapes())?;
    let mut model = ElasticTok::blank(config).expect("a checked configuration");
    let (mut done, total) = (0, model.weights());
    let mut result = Ok(());
    model.visit_mut("", &mut |name, weight| {
        if result.is_err() {
            return;
        }
        let (_, width) = shape(weight);
        let mut first_column = 0;
        for source in sources(name) {
            let columns = stream.columns(&source);
            result = stream.copy(&source, values_mut(weight), width, first_column);
            if result.is_err() {
                return;
            }
            first_column += columns;
        }
        assert_eq!(first_column, width, "the parts of {name} fill its rows");
        done += 1;
        progress(done, total);
    });
    result.map(|()| model)
}
