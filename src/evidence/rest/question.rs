//! What a server is asked, and what of its answers belongs to the question.

use reqwest::Url;

use super::Api;
use crate::attestation::{NoteName, Occurrence};
use crate::evidence::source::{Scope, SourceError};
use crate::http::address;
use crate::image::Digest;

/// One listing or look-up.
#[derive(Debug)]
pub(super) struct Question {
    url: Url,
    filter: Option<String>,
    sieve: Sieve,
}

/// What is kept of an answer. Servers ignore filters, or know only a part of them.
#[derive(Debug, Clone)]
pub(super) struct Sieve {
    scope: Scope,
    digest: Option<Digest>,
}

impl Question {
    /// For all of `scope`, or for what it holds for `digest`, at a server below `base`.
    ///
    /// # Errors
    /// [`SourceError::NotTaken`] for what such a server cannot be asked.
    pub(super) fn new(
        base: &Url,
        api: Api,
        scope: &Scope,
        digest: Option<Digest>,
    ) -> Result<Self, SourceError> {
        let refused =
            |cause: &str| SourceError::NotTaken { scope: scope.to_string(), cause: cause.to_owned() };
        let version = match api {
            Api::V1 => "v1",
            Api::V1Beta1 => "v1beta1",
        };
        let path = match scope {
            Scope::Note(note) => vec!["projects", note.project(), "notes", note.id()],
            Scope::Project(project) if is_project(project) => vec!["projects", project],
            Scope::Project(_) => return Err(refused("that is not the name of a project")),
            Scope::Everything => return Err(refused("such a server is asked by note or by project")),
        };
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| refused("its address has no path"))?
            .pop_if_empty()
            .push(version)
            .extend(path)
            .push("occurrences");
        // A note of attestations has no others; a project has occurrences of every kind.
        let kind = matches!(scope, Scope::Project(_)).then(|| "kind=\"ATTESTATION\"".to_owned());
        let resource = digest.map(|digest| format!("has_suffix(resourceUrl, \"{digest}\")"));
        let terms: Vec<String> = kind.into_iter().chain(resource).collect();
        let filter = (!terms.is_empty()).then(|| terms.join(" AND "));
        Ok(Self { url, filter, sieve: Sieve { scope: scope.clone(), digest } })
    }

    /// The address of a page of at most `size` occurrences.
    pub(super) fn page(&self, size: usize, token: Option<&str>) -> Url {
        let mut url = self.url.clone();
        let mut query = url.query_pairs_mut();
        if let Some(filter) = &self.filter {
            query.append_pair("filter", filter);
        }
        query.append_pair("pageSize", &size.to_string());
        if let Some(token) = token {
            query.append_pair("pageToken", token);
        }
        drop(query);
        url
    }

    /// Leaves the filter out from now on; whether there was one.
    pub(super) fn drop_filter(&mut self) -> bool {
        self.filter.take().is_some()
    }

    /// The address without the query.
    pub(super) fn shown(&self) -> String {
        address::plain(&self.url)
    }

    pub(super) fn sieve(&self) -> Sieve {
        self.sieve.clone()
    }
}

impl Sieve {
    /// Whether `occurrence` belongs to what was asked for. In a project, one without a name may be what it is
    /// said to be: some servers keep names as they were sent.
    pub(super) fn keeps(&self, occurrence: &Occurrence) -> bool {
        let belongs = match &self.scope {
            Scope::Everything => true,
            Scope::Note(note) => occurrence.note == note.as_str(),
            Scope::Project(project) => {
                let rest =
                    occurrence.name.strip_prefix("projects/").and_then(|rest| rest.strip_prefix(project));
                occurrence.name.is_empty() || rest.is_some_and(|rest| rest.starts_with('/'))
            }
        };
        belongs && self.digest.is_none_or(|digest| occurrence.digest == digest)
    }
}

/// Whether a project may be called so: one that notes can be in.
fn is_project(project: &str) -> bool {
    format!("projects/{project}/notes/n").parse::<NoteName>().is_ok_and(|note| note.project() == project)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let digest: Digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
        let note = Scope::Note("projects/acme-sec/notes/built-by-ci".parse().unwrap());
        let project = Scope::Project("example.com:acme".into());
        let suffix = format!("has_suffix%28resourceUrl%2C+%22sha256%3A{}%22%29", "ab".repeat(32));
        let at = "https://h/v1/projects/acme-sec/notes/built-by-ci/occurrences";
        let of_project = "https://h:1/a%20b/v1beta1/projects/example.com:acme/occurrences";
        let kind = "kind%3D%22ATTESTATION%22";
        let rows = [
            ("https://h", Api::V1, &note, None, None, format!("{at}?pageSize=7")),
            (
                "https://h/",
                Api::V1,
                &note,
                None,
                Some("a&b=+"),
                format!("{at}?pageSize=7&pageToken=a%26b%3D%2B"),
            ),
            ("https://h", Api::V1, &note, Some(digest), None, format!("{at}?filter={suffix}&pageSize=7")),
            (
                "https://h:1/a%20b/",
                Api::V1Beta1,
                &project,
                None,
                None,
                format!("{of_project}?filter={kind}&pageSize=7"),
            ),
            (
                "https://h:1/a%20b",
                Api::V1Beta1,
                &project,
                Some(digest),
                None,
                format!("{of_project}?filter={kind}+AND+{suffix}&pageSize=7"),
            ),
        ];
        for (base, api, scope, digest, token, expected) in rows {
            let question = Question::new(&base.parse().unwrap(), api, scope, digest).unwrap();
            assert_eq!(question.page(7, token).as_str(), expected);
        }
        for scope in [Scope::Everything, Scope::Project("a/b".into()), Scope::Project("..".into())] {
            let base = "https://h".parse().unwrap();
            assert!(matches!(Question::new(&base, Api::V1, &scope, None), Err(SourceError::NotTaken { .. })));
        }
    }

    #[test]
    fn what_belongs() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let other: Digest = format!("sha256:{}", "cd".repeat(32)).parse().unwrap();
        let occurrence = |name: &str, note: &str| {
            let document = serde_json::json!({"name": name, "noteName": note,
                "resourceUri": format!("https://r/a@{digest}"), "envelope": {"payload": "", "payloadType": "t"}});
            Occurrence::parse(document.to_string().as_bytes()).unwrap()
        };
        let note = Scope::Note("projects/p/notes/n".parse().unwrap());
        let project = Scope::Project("foo".into());
        let same = Some(digest.parse().unwrap());
        let rows = [
            (&note, None, "", "projects/p/notes/n", true),
            (&note, same, "", "projects/p/notes/n", true),
            (&note, Some(other), "", "projects/p/notes/n", false),
            (&note, None, "", "projects/p/notes/nn", false),
            (&project, None, "projects/foo/occurrences/1", "projects/p/notes/n", true),
            (&project, None, "projects/foo/locations/eu/occurrences/1", "projects/p/notes/n", true),
            (&project, None, "projects/foobar/occurrences/1", "projects/p/notes/n", false),
            (&project, None, "", "projects/p/notes/n", true),
            (&project, Some(other), "projects/foo/occurrences/1", "projects/p/notes/n", false),
        ];
        for (scope, digest, name, of, expected) in rows {
            let sieve = Sieve { scope: scope.clone(), digest };
            assert_eq!(sieve.keeps(&occurrence(name, of)), expected, "{scope} {name} {of}");
        }
    }
}
