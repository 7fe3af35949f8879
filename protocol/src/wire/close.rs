//! Why a connection is closed: the application codes of QUIC's CONNECTION_CLOSE.

/// Close codes. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Close {
    /// Ends in good order; come back when you like.
    Done = 0,
    /// The controller is stopping; come back soon.
    Stopping = 1,
    /// The peer broke the protocol.
    Protocol = 2,
    /// The key was revoked. Do not come back.
    Revoked = 3,
    /// The key is not known here. Do not come back.
    Unknown = 4,
    /// A newer session of the same target took over.
    Superseded = 5,
    /// No client certificate was shown.
    NoCertificate = 6,
    /// The target's journal went back or forked. Held until an operator replaces the agent.
    RolledBack = 7,
    /// Real and simulated do not meet.
    OtherKind = 8,
    /// The controller's log is older than this agent: it was cut off, or restored from a backup. Held until an operator
    /// has brought it back.
    Behind = 9,
}

impl Close {
    /// Every code.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Stopping,
        Self::Protocol,
        Self::Revoked,
        Self::Unknown,
        Self::Superseded,
        Self::NoCertificate,
        Self::RolledBack,
        Self::OtherKind,
        Self::Behind,
    ];

    /// The code's number.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The code with that number.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|close| u64::from(close.code()) == code)
    }

    /// What it means for who was closed.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "the session was ended in good order",
            Self::Stopping => "the controller is stopping",
            Self::Protocol => "the protocol was broken",
            Self::Revoked => "this agent was revoked",
            Self::Unknown => "the controller does not know this agent's key",
            Self::Superseded => "a newer session of this target took over",
            Self::NoCertificate => "no client certificate was shown",
            Self::RolledBack => "this agent's journal went back or forked",
            Self::OtherKind => "a real and a simulated side do not meet",
            Self::Behind => {
                "the controller's log is older than this agent's newest bundle: it was cut off or restored from a backup"
            }
        }
    }

    /// Tells whether coming back may help.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        match self {
            Self::Done | Self::Stopping | Self::Protocol | Self::Superseded | Self::Behind => true,
            Self::Revoked
            | Self::Unknown
            | Self::NoCertificate
            | Self::RolledBack
            | Self::OtherKind => false,
        }
    }
}
