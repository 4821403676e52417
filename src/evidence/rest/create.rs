//! Filing an occurrence (`grafeas.proto`: `CreateOccurrence`, v1).

use reqwest::StatusCode;

use super::{RestSource, trouble};
use crate::attestation::{NoteName, Occurrence, occurrence};
use crate::evidence::source::SourceError;
use crate::http::{Bounds, HttpError, address};

const FORBIDDEN: &str = "let the caller file under this note, at a binauth-store as `attacher=NOTE`, at Google as \
                         `roles/containeranalysis.notes.attacher` and `roles/containeranalysis.occurrences.editor`";

impl RestSource {
    /// Files `document`, an occurrence of v1 in JSON without a name, in `project`; what the server says that it
    /// has filed. It may have been filed also where this fails for want of an answer.
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::Malformed`] where the answer is no occurrence.
    pub async fn create(&self, project: &str, document: Vec<u8>) -> Result<Occurrence, SourceError> {
        let scope = format!("project `{project}`");
        let refused = |cause: &str| SourceError::NotTaken { scope: scope.clone(), cause: cause.to_owned() };
        // The rule of projects is that of the projects of notes.
        if format!("projects/{project}/notes/n").parse::<NoteName>().is_err() {
            return Err(refused("that is not the name of a project"));
        }
        let mut url = self.client.url().clone();
        url.path_segments_mut()
            .map_err(|()| refused("the server's address has no path"))?
            .pop_if_empty()
            .extend(["v1", "projects", project, "occurrences"]);
        let asked = address::plain(&url);
        let bounds = Bounds { max_bytes: occurrence::MAX_BYTES, limit: self.limits.page };
        let answer = self.client.post(url, document, bounds).await.map_err(|error| {
            let is_forbidden = matches!(&error, HttpError::Status { status: StatusCode::FORBIDDEN, .. });
            match trouble::of(error, &asked) {
                SourceError::Status { url, status, said, retry_after, .. } if is_forbidden => {
                    SourceError::Status { url, status, said, remedy: FORBIDDEN, retry_after }
                }
                trouble => trouble,
            }
        })?;
        Occurrence::parse(&answer)
            .map_err(|error| SourceError::Malformed { url: asked, cause: crate::chain(&error) })
    }
}
