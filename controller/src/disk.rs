//! Who waits while the disk is read or written.

use std::io;

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// Threads of their own: sessions and decisions go on meanwhile.
    Aside,
    /// Whoever asks. For a simulation, whose clock would run ahead of a thread.
    InPlace,
}

impl Disk {
    /// Does what may wait for the disk.
    ///
    /// # Errors
    /// When the work panicked, or the runtime is ending.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Self::Aside => tokio::task::spawn_blocking(work)
                .await
                .map_err(io::Error::other),
            Self::InPlace => Ok(work()),
        }
    }
}
