//! The certificate is renewed in time, and where it has ended while the agent was away.

use std::time::Duration;

use link::Endpoint;
use protocol::causes;
use protocol::wire::latest::ControlUp;

use super::{Agent, now};

/// How long a renewal of an expired certificate may take: the agent does nothing else meanwhile.
const RENEWAL: Duration = Duration::from_secs(10);

impl Agent {
    /// Renews a certificate that ended while the agent was away. Where the controller does not answer it is tried again
    /// with the next pulse; the work of an open bundle goes on meanwhile.
    pub(super) async fn renew_expired(&mut self, endpoint: &Endpoint) {
        if self.session.is_some() || now() < self.state.certificate.expires {
            return;
        }
        tracing::warn!(target_name = %self.state.target, "the certificate has expired; renewing");
        let renewing = crate::enroll::renew_expired(&mut self.state, endpoint);
        match tokio::time::timeout(RENEWAL, renewing).await {
            Ok(Ok(())) => self.follow_certificate(),
            Ok(Err(error)) => tracing::warn!("it could not be renewed: {}", causes(&error)),
            Err(_) => tracing::warn!("it could not be renewed: the controller does not answer"),
        }
    }

    /// Asks for a new certificate from half of its life on, in long sessions as well.
    pub(super) fn renew_in_time(&self) {
        if now() >= self.state.certificate.renew_after {
            match crate::enroll::request(&self.state.key) {
                Ok(request) => self.say(ControlUp::RenewalAsked { request }),
                Err(error) => tracing::error!(%error, "could not make a certificate request"),
            }
        }
    }

    pub(super) fn follow_certificate(&self) {
        let identity = self.state.identity();
        self.dial.send_modify(|dial| dial.identity = identity);
    }
}
