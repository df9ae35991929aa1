//! `import`: a checkpoint of the released code becomes a model file.

use crate::allocator;
use crate::cli::{Cli, Import};
use crate::console::{Console, bytes, print};
use crate::shape;
use anyhow::{Context as _, Result, bail};
use engine::model::save_model;
use evaluator::sweep::Progress as _;

pub(crate) fn import(cli: &Cli, command: &Import) -> Result<()> {
    allocator::use_small_pages()?;
    let Import { params, shape, output } = command;
    if let (Ok(from), Ok(to)) = (params.canonicalize(), output.canonicalize())
        && from == to
    {
        bail!("{} would replace what it is made from: give another --output", output.display());
    }
    let (config, shape) = shape::read(shape)?;
    let console = Console::new(cli);
    let mut begun = false;
    let model = engine::released::import(params, config, &mut |done, total| {
        if !begun {
            console.begin("weights", 0, total as u64);
            begun = true;
        }
        console.advance(done as u64, "");
    });
    if begun {
        console.end();
    }
    let model = model?;
    let origin = format!("imported from {} as {shape}", shape::file_name(params));
    let hash = save_model(&model, Some(&origin), output)?;
    let length = std::fs::metadata(output).with_context(|| format!("looking at {}", output.display()))?.len();
    let weights = model.config().parameter_count();
    print(&format!("{}: {weights} weights, {}, weights hash {hash}\n", output.display(), bytes(length)))
}
