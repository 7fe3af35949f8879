//! What is under way beside the agent for its run, and ends with it: a script, or a fetch.

use std::path::PathBuf;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::artifact;

/// A task that ends with its run.
#[derive(Debug)]
pub struct EndsWithRun {
    /// The task.
    pub task: AbortHandle,
    /// Its other end is held by the task for as long as anything of it runs.
    pub over: oneshot::Receiver<()>,
    /// Where a fetch puts what has come so far.
    pub part: Option<PathBuf>,
}

impl EndsWithRun {
    /// Ends it, and waits until nothing of it runs any more: the next try would fetch into the same file. Nobody fetches on what was
    /// broken off, so what has come of it goes.
    pub async fn end(self) {
        if self.task.is_finished() {
            return;
        }
        self.task.abort();
        // Nothing is ever sent: it ends with the task.
        self.over.await.ok();
        if let Some(part) = self.part {
            artifact::forget(&part);
        }
    }
}
