//! The allocator, and what it does with memory that is given back.
//!
//! A step of training takes and gives back the same large buffers over and over. From the system they would come as small
//! pages that are cleared anew each time, and the quickstart's step would take 1.5 times as long.

use anyhow::{Context as _, Result};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Large pages, and one arena for buffers of all sizes, so that what one operation gave back has room for the next one's, however
/// much smaller that is: with the usual limit, an extent of 64 times its size, steps go on asking for new pages. No page more
/// for each buffer, to begin it at some other line of a cache: where one of 16 MiB was, two of 8 MiB would not fit. From the
/// system as much as is asked for: of more, which it would take ahead, rests are left that fit nothing (`elastictok bench`'s
/// work L in bf16 held 289 MB, and holds 270).
#[allow(unsafe_code)] // The allocator looks for this name before the program begins.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static SETTINGS: &[u8; 105] =
    b"thp:always,narenas:1,oversize_threshold:0,lg_extent_max_active_fit:20,cache_oblivious:false,retain:false\0";

/// Keeps all memory for what comes next.
pub(crate) fn keep_memory() -> Result<()> {
    for setting in [c"arena.0.dirty_decay_ms", c"arena.0.muzzy_decay_ms"] {
        const NEVER: isize = -1;
        // SAFETY: both settings are signed numbers of the machine's size, by the allocator's manual.
        #[allow(unsafe_code)]
        let set = unsafe { tikv_jemalloc_ctl::raw::write(setting.to_bytes_with_nul(), NEVER) };
        set.with_context(|| format!("setting the allocator's {}", setting.to_string_lossy()))?;
    }
    Ok(())
}

/// For a command that holds much and computes little: large pages would round every weight of a model up.
pub(crate) fn use_small_pages() -> Result<()> {
    rustix::thread::disable_transparent_huge_pages(true).context("asking for small pages")
}
