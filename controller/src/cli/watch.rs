//! Watching a rollout: progress bars on a terminal, plain lines elsewhere. It takes up again where a cut left it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::fleet::TargetView;
use futures_util::StreamExt as _;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use protocol::{RolloutId, TargetId};

use crate::cli::output;
use crate::http::client::{Client, Missing};
use crate::http::types::Frame;

/// How long a controller may be away before watching ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause before the stream is taken up again.
const AGAIN: Duration = Duration::from_millis(250);

/// What is shown meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Bars on a terminal, plain lines on standard output elsewhere.
    Live,
    /// Each frame as a line of JSON.
    Json,
    /// Bars on a terminal, nothing elsewhere: standard output is for what comes in the end.
    Bars,
}

enum Screen {
    Nothing,
    Bars {
        all: MultiProgress,
        bars: BTreeMap<TargetId, ProgressBar>,
        told: BTreeSet<String>,
    },
    Lines {
        last: BTreeMap<TargetId, String>,
        told: BTreeSet<String>,
    },
    Json,
}

/// Follows a rollout until it is over, or until `enough` says so, and gives the last frame.
///
/// # Errors
/// When there is no such rollout, or the controller stays away.
pub async fn follow(
    client: &Client,
    rollout: RolloutId,
    show: Show,
    mut enough: impl FnMut(&Frame) -> bool,
) -> anyhow::Result<Frame> {
    let mut screen = match show {
        Show::Json => Screen::Json,
        Show::Live | Show::Bars if output::is_terminal() => Screen::Bars {
            all: MultiProgress::new(),
            bars: BTreeMap::new(),
            told: BTreeSet::new(),
        },
        Show::Live => Screen::Lines {
            last: BTreeMap::new(),
            told: BTreeSet::new(),
        },
        Show::Bars => Screen::Nothing,
    };
    let mut last: Option<Frame> = None;
    let mut away = Duration::ZERO;
    loop {
        match client
            .lines::<Frame>(&format!("/v1/rollouts/{rollout}/watch"))
            .await
        {
            Ok(mut frames) => {
                away = Duration::ZERO;
                while let Some(frame) = frames.next().await {
                    let Ok(frame) = frame else { break };
                    screen.show(&frame)?;
                    let done = frame.view.state == "over" || enough(&frame);
                    last = Some(frame);
                    if done {
                        break;
                    }
                }
                if let Some(frame) =
                    last.take_if(|frame| frame.view.state == "over" || enough(frame))
                {
                    screen.end();
                    return Ok(frame);
                }
            }
            Err(error) if away >= PATIENCE || error.is::<Missing>() => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
        away += AGAIN;
    }
}

/// More about a target, and on what its grade rests.
fn detail(view: &TargetView) -> String {
    match view.rests_on.as_str() {
        "" => view.detail.clone(),
        rests_on => format!("{} ({rests_on})", view.detail),
    }
}

fn text(view: &TargetView, frame: &Frame) -> String {
    let running = !view.terminal && !view.is_held() && !view.waits_for_leave;
    let progress = frame.progress.get(&view.target).filter(|_| running);
    let mut text = view.state.clone();
    if !view.detail.is_empty() {
        text = format!("{text}: {}", detail(view));
    }
    if let Some(progress) = progress {
        text = format!("{text} ({})", progress.text);
    }
    text
}

/// What stands of alarms and overrides and was not told yet.
fn news(told: &mut BTreeSet<String>, frame: &Frame) -> Vec<String> {
    let alarms = frame.alarms.iter().map(|alarm| format!("ALARM {alarm}"));
    let overrides = frame.view.overrides.iter();
    let overrides = overrides.map(|sentence| format!("OVERRIDE {sentence}"));
    let frozen = |order| output::frozen(order, frame.at_work.as_ref());
    let all = frame.frozen.iter().map(frozen);
    let all = all.chain(alarms).chain(overrides);
    all.filter(|sentence| told.insert(sentence.clone()))
        .collect()
}

impl Screen {
    fn show(&mut self, frame: &Frame) -> anyhow::Result<()> {
        match self {
            Self::Nothing => {}
            Self::Json => output::print(&serde_json::to_string(frame)?),
            Self::Lines { last, told: heard } => {
                for sentence in news(heard, frame) {
                    output::print(&sentence);
                }
                for view in &frame.view.targets {
                    let mut now = view.state.clone();
                    // Whoever only waits for its turn is told once: what it waits for has its own lines.
                    let told = if view.state == "pending" {
                        now.clone()
                    } else {
                        format!("{now}: {}", detail(view))
                    };
                    if !view.detail.is_empty() {
                        now = format!("{now}: {}", detail(view));
                    }
                    let told = format!("{} {told}", view.phase);
                    if last.get(&view.target) != Some(&told) {
                        output::print(&format!(
                            "{}  {}/{}  {}  {now}",
                            view.lane, view.phase, view.phases, view.target
                        ));
                        last.insert(view.target.clone(), told);
                    }
                }
            }
            Self::Bars {
                all,
                bars,
                told: heard,
            } => {
                for sentence in news(heard, frame) {
                    all.println(output::plain(&sentence))?;
                }
                for view in &frame.view.targets {
                    let bar = bars.entry(view.target.clone()).or_insert_with(|| {
                        let bar = all.add(ProgressBar::new(
                            u64::try_from(view.phases.max(1)).unwrap_or(1),
                        ));
                        let style = ProgressStyle::with_template("{prefix:<38} {bar:8} {msg}");
                        bar.set_style(
                            style
                                .unwrap_or_else(|_| ProgressStyle::default_bar())
                                .progress_chars("#>-"),
                        );
                        bar.set_prefix(view.target.to_string());
                        bar
                    });
                    bar.set_position(u64::try_from(view.phase).unwrap_or(0));
                    bar.set_message(output::plain(&text(view, frame)));
                }
            }
        }
        Ok(())
    }

    fn end(&self) {
        if let Self::Bars { bars, .. } = self {
            for bar in bars.values() {
                bar.abandon();
            }
        }
    }
}
