//! What the allocator does with memory that is given back.

use libmimalloc_sys::{mi_option_large_os_pages, mi_option_set, mi_option_t};

/// Milliseconds after which it goes back to the system: `mi_option_purge_delay` of mimalloc.h, for which the bindings have
/// no name.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps all memory for what comes next, in large pages. A step of training takes and gives back the same buffers over and
/// over; from the system they would come as small pages that are cleared anew each time.
#[allow(unsafe_code)] // The allocator's settings have no safe interface.
pub(crate) fn keep_memory() {
    // SAFETY: both are options of this allocator, whose values are plain numbers and may be set at any time.
    unsafe {
        mi_option_set(mi_option_large_os_pages, 1);
        mi_option_set(PURGE_DELAY, -1);
    }
}
