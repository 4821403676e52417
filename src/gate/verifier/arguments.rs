//! The argument vector of containerd's `bindir` contract: Go's flags, `-name NAME -digest DIGEST
//! -stdin-media-type TYPE`.
//!
//! `--flag` and `-flag=value` count as well, as they do in Go. The contract may grow, so a flag that is not
//! known is passed over, with the element after it unless that begins with `-`. Everything else that is
//! not as it should be is a problem, which refuses the image: nothing is guessed.

use std::ffi::OsString;

use crate::gate::message::AskedImage;
use crate::text::cut;

/// The media type of what containerd writes to standard input.
pub const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";
/// A longer image name is cut to so many bytes, and is a problem.
pub const MAX_NAME: usize = 1024;
/// The same for the other values.
pub const MAX_VALUE: usize = 256;
/// More digests than this are not passed on.
const MAX_DIGESTS: usize = 4;

/// What the caller asks about, and how it broke the contract, if it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    /// As given, cut to the bounds here, without a descriptor.
    pub image: AskedImage,
    /// All problems in one line.
    pub problem: Option<String>,
}

impl Arguments {
    /// Reads the elements after the program's own name.
    pub fn parse(elements: impl IntoIterator<Item = OsString>) -> Self {
        let mut reading = Reading::default();
        let mut elements = elements.into_iter().peekable();
        while let Some(element) = elements.next() {
            let element = reading.text(element);
            let Some(flag) = element.strip_prefix("--").or_else(|| element.strip_prefix('-')) else {
                reading.problem(format!("`{}` is no flag", cut(&element, MAX_VALUE)));
                continue;
            };
            let (flag, attached) = match flag.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (flag, None),
            };
            let Some(known) = Flag::of(flag) else {
                if attached.is_none() {
                    elements.next_if(|next| !next.as_encoded_bytes().starts_with(b"-"));
                }
                continue;
            };
            match attached.or_else(|| elements.next().map(|value| reading.text(value))) {
                Some(value) => reading.value(known, value),
                None => reading.problem(format!("`-{flag}` has no value")),
            }
        }
        reading.finish()
    }
}

#[derive(Clone, Copy)]
enum Flag {
    Name,
    Digest,
    StdinMediaType,
}

impl Flag {
    fn of(flag: &str) -> Option<Self> {
        match flag {
            "name" => Some(Self::Name),
            "digest" => Some(Self::Digest),
            "stdin-media-type" => Some(Self::StdinMediaType),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Reading {
    name: Option<String>,
    digests: Vec<String>,
    media_type: Option<String>,
    problems: Vec<String>,
}

impl Reading {
    fn problem(&mut self, problem: String) {
        if self.problems.len() < 8 {
            self.problems.push(problem);
        }
    }

    fn text(&mut self, element: OsString) -> String {
        element.into_string().unwrap_or_else(|element| {
            self.problem("an argument is not UTF-8".to_owned());
            element.to_string_lossy().into_owned()
        })
    }

    fn value(&mut self, flag: Flag, value: String) {
        match flag {
            Flag::Name => {
                let value = self.bounded("image name", value, MAX_NAME);
                if self.name.replace(value).is_some() {
                    self.problem("there is more than one image name".to_owned());
                }
            }
            Flag::Digest => {
                let value = self.bounded("digest", value, MAX_VALUE);
                self.digests.push(value);
            }
            Flag::StdinMediaType => {
                if value != DESCRIPTOR {
                    self.problem(format!(
                        "standard input holds `{}`, which is unknown",
                        cut(&value, MAX_VALUE)
                    ));
                }
                self.media_type = Some(cut(&value, MAX_VALUE).to_owned());
            }
        }
    }

    fn bounded(&mut self, what: &str, value: String, max: usize) -> String {
        if value.len() <= max {
            return value;
        }
        self.problem(format!("the {what} has {} bytes, more than the {max} allowed", value.len()));
        cut(&value, max).to_owned()
    }

    fn finish(mut self) -> Arguments {
        if self.name.as_deref().unwrap_or_default().is_empty() {
            self.problem("there is no image name".to_owned());
        }
        match self.digests.len() {
            0 => self.problem("there is no digest".to_owned()),
            1 => {}
            digests => self.problem(format!("there are {digests} digests")),
        }
        self.digests.truncate(MAX_DIGESTS);
        let problem = if self.problems.is_empty() { None } else { Some(self.problems.join("; ")) };
        let image = AskedImage {
            name: self.name.unwrap_or_default(),
            digests: self.digests,
            stdin_media_type: self.media_type,
            descriptor: None,
        };
        Arguments { image, problem }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn parse(line: &[&str]) -> Arguments {
        Arguments::parse(line.iter().map(OsString::from))
    }

    #[test]
    fn every_spelling_of_go_is_read() {
        let expected = parse(&["-name", "a:1", "-digest", "sha256:aa", "-stdin-media-type", DESCRIPTOR]);
        assert_eq!(expected.problem, None);
        assert_eq!(
            (expected.image.name.as_str(), expected.image.digests.as_slice()),
            ("a:1", &["sha256:aa".into()][..])
        );
        let media_type = format!("--stdin-media-type={DESCRIPTOR}");
        for line in [
            &["--name", "a:1", "--digest=sha256:aa", &media_type][..],
            &["-digest=sha256:aa", &media_type, "-name=a:1"],
            &[
                "-operation",
                "pull",
                "-name",
                "a:1",
                "-v",
                "-digest",
                "sha256:aa",
                "-x=1",
                &media_type,
                "-last",
            ],
            &["-v", "--name", "a:1", "-", "-digest", "sha256:aa", &media_type, "--"],
        ] {
            assert_eq!(parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn values_are_passed_on_raw() {
        for digest in ["SHA256:AA", "sha256:AA", "sha512:00", "", "-x", "a=b"] {
            let read = parse(&["-name", "a", "-digest", digest]);
            assert_eq!((read.image.digests, read.problem), (vec![digest.to_owned()], None));
        }
        assert_eq!(parse(&["-name=-digest=b", "-digest", "d"]).image.name, "-digest=b");
    }

    #[test]
    fn a_broken_contract_is_a_problem() {
        let long = "a".repeat(1024 * 1024);
        for (line, expected) in [
            (&[][..], "there is no image name; there is no digest"),
            (&["-name", "a"], "there is no digest"),
            (&["-name", "a", "-digest"], "`-digest` has no value; there is no digest"),
            (&["-digest", "d", "-name="], "there is no image name"),
            (&["-name", "a", "-digest", "d", "-digest", "d"], "there are 2 digests"),
            (&["-name", "a", "-name", "a", "-digest", "d"], "there is more than one image name"),
            (&["-name", "a", "-digest", "d", "stray"], "`stray` is no flag"),
            (
                &["-name", "a", "-digest", "d", "-stdin-media-type", "text/plain"],
                "standard input holds `text/plain`, which is unknown",
            ),
            (
                &["-name", &long, "-digest", "d"],
                "the image name has 1048576 bytes, more than the 1024 allowed",
            ),
            (&["-name", "a", "-digest", &long], "the digest has 1048576 bytes, more than the 256 allowed"),
        ] {
            let read = parse(line);
            assert_eq!(read.problem.as_deref(), Some(expected));
            assert!(
                read.image.name.len() <= MAX_NAME && read.image.digests.iter().all(|d| d.len() <= MAX_VALUE)
            );
        }
        let foreign =
            ["-name", "a", "-digest"].iter().map(OsString::from).chain([OsString::from_vec(vec![0xff])]);
        assert_eq!(Arguments::parse(foreign).problem.as_deref(), Some("an argument is not UTF-8"));
    }

    #[test]
    fn what_is_read_is_bounded_whatever_is_given() {
        let nul = "\u{1}".repeat(100_000);
        let mut line = vec!["-name", &nul, "-stdin-media-type", &nul];
        (0..10_000).for_each(|_| line.extend(["-digest", nul.as_str(), nul.as_str()]));
        let read = parse(&line);
        assert_eq!(read.image.digests.len(), MAX_DIGESTS);
        let frame = serde_json::to_vec(&(&read.image, &read.problem)).unwrap();
        assert!(frame.len() < 32 * 1024, "{}", frame.len());
    }
}
