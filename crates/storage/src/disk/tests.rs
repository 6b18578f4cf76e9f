//! What both disks guarantee, and the failures of the simulated one.

use super::*;

fn write(file: &dyn DiskFile, position: u64, bytes: &[u8]) {
    file.write_at(position, &[IoSlice::new(bytes)]).unwrap();
}

#[test]
fn a_power_cut_keeps_what_was_synced() {
    for seed in 0..50 {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let file = disk.open(Path::new("/d/f"), OpenMode::Create).unwrap();
        write(&*file, 0, b"kept");
        file.sync().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        write(&*file, 4, b"maybe");
        disk.open(Path::new("/d/unsynced"), OpenMode::Create).unwrap();
        disk.crash(Crash::Power { seed });
        assert!(file.length().is_err(), "handles die with the machine");
        let bytes = read_all(&disk, Path::new("/d/f")).unwrap();
        assert!(bytes.starts_with(b"kept") && b"keptmaybe".starts_with(&bytes[..]));
    }
}

#[test]
fn an_atomic_write_leaves_the_old_or_the_new() {
    for calls in 0..8 {
        for seed in 0..20 {
            let disk = SimDisk::new();
            let path = Path::new("/d/f");
            disk.create_dir(Path::new("/d")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            write_atomically(&disk, path, b"old").unwrap();
            disk.crash_after(calls);
            let done = write_atomically(&disk, path, b"new").is_ok();
            disk.crash(Crash::Power { seed });
            let bytes = read_all(&disk, path).unwrap();
            assert!(bytes == b"new" || (!done && bytes == b"old"), "{calls} {seed} {bytes:?}");
        }
    }
}

#[test]
fn faults_come_as_planned() {
    let disk = SimDisk::new();
    let file = disk.open(Path::new("/f"), OpenMode::Create).unwrap();
    disk.inject(Fault {
        operation: Operation::Write,
        path_contains: "f".into(),
        after: 1,
        times: 1,
        error: io::ErrorKind::StorageFull,
        written_bytes: 2,
    });
    write(&*file, 0, b"one");
    assert!(file.write_at(3, &[IoSlice::new(b"two")]).is_err());
    assert_eq!(file.length().unwrap(), 5);
    write(&*file, 3, b"two");
    assert_eq!(disk.count(Operation::Write), 3);
    disk.set_capacity(Some(7));
    assert_eq!(file.write_at(6, &[IoSlice::new(b"three")]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.space(Path::new("/")).unwrap().usable_bytes, 0);
}

#[test]
fn both_disks_do_the_same() {
    let root = tempfile::tempdir().unwrap();
    for (disk, root) in [(&RealDisk as &dyn Disk, root.path()), (&SimDisk::new(), Path::new("/sim"))] {
        disk.create_dir(&root.join("a/b")).unwrap();
        let file = disk.open(&root.join("a/b/f"), OpenMode::Create).unwrap();
        file.write_at(0, &[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cd")]).unwrap();
        file.sync().unwrap();
        file.set_modified(Timestamp(1_700_000_000_123)).unwrap();
        assert_eq!(disk.metadata(&root.join("a/b/f")).unwrap().modified, Timestamp(1_700_000_000_123));
        let mut buffer = [0; 8];
        assert_eq!(file.read_at(1, &mut buffer).unwrap(), 3);
        match file.try_read_at(1, &mut buffer) {
            Ok(read) => assert_eq!(&buffer[..read], b"bcd"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        disk.rename(&root.join("a"), &root.join("c")).unwrap();
        assert_eq!(disk.metadata(&root.join("a/b/f")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(disk.metadata(&root.join("c/b/f")).unwrap().length, 4);
        let mut names = disk.list(&root.join("c")).unwrap();
        names.sort();
        assert_eq!(names, [DirEntry { name: "b".into(), is_dir: true }]);
        assert!(disk.remove_dir(&root.join("c/b")).is_err());
        assert!(remove_if_there(disk, &root.join("c/b/f")).unwrap());
        assert!(!remove_if_there(disk, &root.join("c/b/f")).unwrap());
        disk.remove_dir(&root.join("c/b")).unwrap();
        assert!(
            matches!(disk.open(&root.join("none"), OpenMode::Write), Err(e) if e.kind() == io::ErrorKind::NotFound)
        );
        let lock = disk.lock(&root.join(".lock")).unwrap().unwrap();
        assert!(disk.lock(&root.join(".lock")).unwrap().is_none());
        drop(lock);
        assert!(disk.lock(&root.join(".lock")).unwrap().is_some());
        assert!(disk.space(root).unwrap().total_bytes > 0);
    }
}
