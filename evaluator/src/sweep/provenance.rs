//! What a number was made with: stored beside it, never part of its key.

use crate::store::{ContentHash, NewProvenance, host_hash};

/// This program and the commit it was built from, this machine.
pub fn current() -> NewProvenance {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu_info.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let mut provenance = NewProvenance {
        key: ContentHash::of(&[]),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: known(env!("ELASTICTOK_COMMIT")).map(str::to_owned),
        git_dirty: known(env!("ELASTICTOK_DIRTY")).map(|dirty| dirty == "true"),
        rustc: env!("ELASTICTOK_RUSTC").to_owned(),
        cpu: field("model name"),
        cpu_features: vector_features(),
        threads: u32::try_from(rayon::current_num_threads()).unwrap_or(u32::MAX),
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        host: host_hash(),
    };
    provenance.key = ContentHash::of(format!("{provenance:?}").as_bytes());
    provenance
}

/// Names this program by its bytes, or says why they cannot be read.
pub(super) fn program_hash() -> String {
    let bytes = std::env::current_exe().and_then(std::fs::read);
    bytes.map_or_else(|error| error.to_string(), |bytes| blake3::hash(&bytes).to_string())
}

/// The features that choose among our kernels, and so may decide the last bits of results: those that the program finds. The
/// system would list its own under an emulator.
fn vector_features() -> String {
    #[cfg(target_arch = "x86_64")]
    let decisive = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512_bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let decisive: [(&str, bool); 0] = [];
    let found = decisive.into_iter().filter(|(_, is_there)| *is_there);
    found.map(|(feature, _)| feature).collect::<Vec<_>>().join(" ")
}

/// What the build noted, if it could.
fn known(note: &'static str) -> Option<&'static str> {
    (!note.is_empty()).then_some(note)
}
