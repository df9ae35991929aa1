//! Whether a folder lies on a filesystem where SQLite's WAL can work, and which file is at a path.
//!
//! Connections in WAL mode find each other's writes through a memory-mapped file (`-shm`). Two machines do not share
//! that memory: over a network filesystem each would see its own version of the store, and they would damage it.
//! FUSE mounts all carry one magic number, whether local or not (sshfs is one), and are let through.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What a file keeps as long as somebody has it open, and no other file can have then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Of the file that is at the path now. Asks the filesystem: opening the file, even for a look, would drop the locks
    /// that SQLite holds on it.
    pub fn at(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|file| Self { device: file.dev(), inode: file.ino() })
    }
}

/// The name of the network filesystem with this magic number (`f_type` of `statfs(2)`), or `None` for any other.
pub fn network_filesystem(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B => "SMB",
        0xFF53_4D42 => "CIFS",
        0xFE53_4D42 => "SMB2",
        0x564C => "NCP",
        0x0102_1997 => "9P",
        0x7375_7245 => "Coda",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x2003_0528 => "OrangeFS",
        0x1983_0326 => "BeeGFS",
        0xAAD7_AAEA => "PanFS",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x786F_4256 => "VirtualBox shared folder",
        _ => return None,
    })
}

/// The magic number of the filesystem that holds `path`, which must exist.
#[cfg(target_os = "linux")]
pub(super) fn magic_of(path: &Path) -> std::io::Result<u32> {
    // The kernel's number is 32 bits wide; a 32-bit machine hands it over sign-extended.
    Ok(rustix::fs::statfs(path)?.f_type as u32)
}

/// Other systems number their filesystems differently: nothing is refused there.
#[cfg(not(target_os = "linux"))]
pub(super) fn magic_of(_path: &Path) -> std::io::Result<u32> {
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are those of `linux/magic.h`.
    #[test]
    fn network_filesystems_are_told_from_local_ones() {
        for (magic, name) in [(0x6969, "NFS"), (0xFF53_4D42, "CIFS"), (0xFE53_4D42, "SMB2"), (0x0BD0_0BD0, "Lustre")] {
            assert_eq!(network_filesystem(magic), Some(name));
        }
        let (ext4, xfs, btrfs, tmpfs, overlay, zfs) =
            (0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1);
        for local in [ext4, xfs, btrfs, tmpfs, overlay, zfs] {
            assert_eq!(network_filesystem(local), None);
        }
    }

    #[test]
    fn the_number_of_a_folder_is_found() {
        assert_ne!(magic_of(Path::new("/proc")).unwrap(), 0);
        assert!(magic_of(Path::new("/no/such/folder")).is_err());
    }
}
