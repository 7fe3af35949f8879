//! What is under way beside the agent for its run, and ends with it: a script, or a fetch.

use std::path::PathBuf;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::artifact;

/// A task that ends with its run.
#[derive(Debug)]
pub struct EndsWithRun {
    /// The number of what it does, under which it tells what came of that.
    pub number: u64,
    /// The task.
    pub task: AbortHandle,
    /// Its other end is held by the task for as long as anything of it runs.
    pub over: oneshot::Receiver<()>,
    /// Where a fetch puts what has come so far.
    pub part: Option<PathBuf>,
}

/// The one that is under way, if any is.
#[derive(Debug, Default)]
pub struct Beside(Option<EndsWithRun>);

impl Beside {
    /// One was begun.
    pub fn begins(&mut self, task: EndsWithRun) {
        self.0 = Some(task);
    }

    /// The outcome of that number was told: nothing of it is under way, though its task may take a moment to be over. What a fetch has left
    /// when it failed is fetched on by the next try.
    pub fn has_told(&mut self, number: u64) {
        self.0.take_if(|task| task.number == number);
    }

    /// Ends what is under way, and waits until nothing of it runs any more: the next try would fetch into the same file. Nobody fetches on
    /// what was broken off, so what has come of it goes.
    pub async fn end(&mut self) {
        let Some(one) = self.0.take().filter(|one| !one.task.is_finished()) else {
            return;
        };
        one.task.abort();
        // Nothing is ever sent: it ends with the task.
        one.over.await.ok();
        if let Some(part) = one.part {
            artifact::forget(&part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fetch whose task is not over yet, and what has come of it.
    fn fetches(part: PathBuf, number: u64) -> EndsWithRun {
        std::fs::write(&part, "half of it").unwrap();
        let (alive, over) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        EndsWithRun {
            number,
            task: task.abort_handle(),
            over,
            part: Some(part),
        }
    }

    #[tokio::test]
    async fn what_a_fetch_has_left_goes_where_it_is_broken_off_and_stays_where_it_has_told_that_it_failed()
     {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("a.part");
        for (told, stays) in [(None, false), (Some(6), false), (Some(7), true)] {
            let mut beside = Beside::default();
            beside.begins(fetches(part.clone(), 7));
            told.into_iter().for_each(|number| beside.has_told(number));
            beside.end().await;
            assert_eq!(part.exists(), stays, "{told:?}");
            beside.end().await;
        }
    }
}
