//! Filters of lists (AIP-160, as far as Grafeas' parser takes it): parsed here, and applied to each row here.
//!
//! `AND` binds loosest, then words that stand side by side, then `OR`, then `NOT` and `-`. What a filter asks for never becomes a
//! part of a query of the database; what it pins down for every match ([`Filter::pinned`]) is bound to one, to find candidates.

use std::fmt;

use crate::document;

/// The longest filter, in bytes.
pub const MAX_BYTES: usize = 4096;
/// How deep parentheses and negations may go.
const MAX_DEPTH: usize = 32;
/// The most comparisons: each is made for each row that is looked at.
const MAX_COMPARISONS: usize = 64;

/// What a row has that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `resourceUrl`, `resourceUri`, `resource.uri`
    Resource,
    /// `kind`
    Kind,
    /// `noteProjectId`
    NoteProject,
    /// `noteId`
    Note,
    /// `noteName`
    NoteName,
    /// `name`
    Name,
    /// `createTime`
    Created,
    /// `updateTime`
    Updated,
}

/// A row, as far as it can be asked for.
pub trait Row {
    /// The value of a field.
    fn value(&self, field: Field) -> std::borrow::Cow<'_, str>;
}

/// What a list is narrowed to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Filter {
    /// Everything.
    #[default]
    All,
    /// What each of them keeps.
    And(Vec<Filter>),
    /// What any of them keeps.
    Or(Vec<Filter>),
    /// What it does not keep.
    Not(Box<Filter>),
    /// A comparison.
    Compare(Field, Comparison, String),
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`, of times
    Less,
    /// `<=`, of times
    AtMost,
    /// `>`, of times
    More,
    /// `>=`, of times
    AtLeast,
    /// `:`, and a word by itself nowhere
    Contains,
    /// `has_prefix(field, "…")`
    Prefix,
    /// `has_suffix(field, "…")`
    Suffix,
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError(String);

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the filter cannot be applied: {}", self.0)
    }
}

impl std::error::Error for FilterError {}

impl Field {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "resourceUrl" | "resourceUri" | "resource_url" | "resource_uri" | "resource.uri" => {
                Self::Resource
            }
            "kind" => Self::Kind,
            "noteProjectId" | "note_project_id" => Self::NoteProject,
            "noteId" | "note_id" => Self::Note,
            "noteName" | "note_name" => Self::NoteName,
            "name" => Self::Name,
            "createTime" | "create_time" => Self::Created,
            "updateTime" | "update_time" => Self::Updated,
            _ => return None,
        })
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Created | Self::Updated)
    }
}

impl Filter {
    /// Reads one; an empty text keeps everything.
    ///
    /// # Errors
    /// [`FilterError`] says where, and what is known instead: a filter that is not understood is never left out.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError(format!("it has more than the {MAX_BYTES} bytes allowed")));
        }
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Ok(Self::All);
        }
        let mut parser = Parser { tokens: &tokens, next: 0, depth: 0, comparisons: 0 };
        let filter = parser.expression()?;
        match parser.peek() {
            None => Ok(filter),
            Some(token) => Err(FilterError(format!("`{token}` is not expected"))),
        }
    }

    /// Whether a row is kept.
    #[must_use]
    pub fn keeps(&self, row: &impl Row) -> bool {
        match self {
            Self::All => true,
            Self::And(all) => all.iter().all(|one| one.keeps(row)),
            Self::Or(any) => any.iter().any(|one| one.keeps(row)),
            Self::Not(one) => !one.keeps(row),
            Self::Compare(field, comparison, wanted) => {
                compare(*field, *comparison, &row.value(*field), wanted)
            }
        }
    }

    /// What `field` is, or ends in where `comparison` says so, in every row that is kept.
    #[must_use]
    pub fn pinned(&self, field: Field, comparison: Comparison) -> Option<&str> {
        match self {
            Self::And(all) => all.iter().find_map(|one| one.pinned(field, comparison)),
            Self::Compare(of, how, wanted) if *of == field && *how == comparison => Some(wanted),
            _ => None,
        }
    }
}

fn compare(field: Field, comparison: Comparison, found: &str, wanted: &str) -> bool {
    if field.is_time()
        && !matches!(comparison, Comparison::Prefix | Comparison::Suffix | Comparison::Contains)
    {
        let (Some(found), Some(wanted)) = (document::time(found), document::time(wanted)) else {
            return false;
        };
        return match comparison {
            Comparison::Unequal => found != wanted,
            Comparison::Less => found < wanted,
            Comparison::AtMost => found <= wanted,
            Comparison::More => found > wanted,
            Comparison::AtLeast => found >= wanted,
            _ => found == wanted,
        };
    }
    match comparison {
        Comparison::Equal => found == wanted,
        Comparison::Unequal => found != wanted,
        Comparison::Contains => found.contains(wanted),
        Comparison::Prefix => found.starts_with(wanted),
        Comparison::Suffix => found.ends_with(wanted),
        // Parsed for times alone.
        _ => false,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Text(text) => f.write_str(&crate::text::shown(text, 60)),
            Self::Sign(sign) => f.write_str(sign),
        }
    }
}

/// Longer signs first.
const SIGNS: &[&str] = &["!=", "<=", ">=", "=", "<", ">", ":", "(", ")", ","];

fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default();
        } else if matches!(first, '"' | '\'') {
            let (value, after) = quoted(rest, first)?;
            tokens.push(Token::Text(value));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('-') {
            tokens.push(Token::Sign("-"));
            rest = after;
        } else {
            let is_part = |c: char| !c.is_whitespace() && !"\"'=!<>:(),".contains(c);
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(FilterError(format!("`{first}` is not expected")));
            }
            let (word, after) = rest.split_at(end);
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// A text in quotes, `\` before what is to stand for itself, and what follows it.
fn quoted(text: &str, quote: char) -> Result<(String, &str), FilterError> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            character if character == quote => {
                return Ok((value, text.get(at + quote.len_utf8()..).unwrap_or_default()));
            }
            character => value.push(character),
        }
    }
    Err(FilterError("a text in quotes has no end".to_owned()))
}

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
    depth: usize,
    comparisons: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next += 1;
        token
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found == word)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), FilterError> {
        match self.take() {
            Some(Token::Sign(found)) if found == sign => Ok(()),
            Some(found) => Err(FilterError(format!("`{sign}` is expected before `{found}`"))),
            None => Err(FilterError(format!("`{sign}` is expected at the end"))),
        }
    }

    fn expression(&mut self) -> Result<Filter, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FilterError(format!("it is more than {MAX_DEPTH} levels deep")));
        }
        let mut all = vec![self.sequence()?];
        while self.is_word("AND") {
            self.next += 1;
            all.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(one_or(all, Filter::And))
    }

    fn sequence(&mut self) -> Result<Filter, FilterError> {
        let mut all = vec![self.factor()?];
        while self.peek().is_some() && !self.is_word("AND") && !self.is_sign(")") {
            all.push(self.factor()?);
        }
        Ok(one_or(all, Filter::And))
    }

    fn factor(&mut self) -> Result<Filter, FilterError> {
        let mut any = vec![self.term()?];
        while self.is_word("OR") {
            self.next += 1;
            any.push(self.term()?);
        }
        Ok(one_or(any, Filter::Or))
    }

    fn term(&mut self) -> Result<Filter, FilterError> {
        if self.is_word("NOT") || self.is_sign("-") {
            self.next += 1;
            return Ok(Filter::Not(Box::new(self.simple()?)));
        }
        self.simple()
    }

    fn simple(&mut self) -> Result<Filter, FilterError> {
        if self.is_sign("(") {
            self.next += 1;
            let inner = self.expression()?;
            self.expect(")")?;
            return Ok(inner);
        }
        self.comparisons += 1;
        if self.comparisons > MAX_COMPARISONS {
            return Err(FilterError(format!("it compares more than the {MAX_COMPARISONS} times allowed")));
        }
        let name = match self.take() {
            Some(Token::Word(name)) => name,
            Some(found) => return Err(FilterError(format!("a field is expected, not `{found}`"))),
            None => return Err(FilterError("something is expected at the end".to_owned())),
        };
        match name.as_str() {
            "has_prefix" => self.function(Comparison::Prefix),
            "has_suffix" => self.function(Comparison::Suffix),
            _ => self.restriction(&name),
        }
    }

    fn function(&mut self, comparison: Comparison) -> Result<Filter, FilterError> {
        self.expect("(")?;
        let name = self.value()?;
        let field = field(&name)?;
        self.expect(",")?;
        let value = self.value()?;
        self.expect(")")?;
        Ok(Filter::Compare(field, comparison, value))
    }

    fn restriction(&mut self, name: &str) -> Result<Filter, FilterError> {
        let field = field(name)?;
        let comparison = match self.take() {
            Some(Token::Sign("=")) => Comparison::Equal,
            Some(Token::Sign("!=")) => Comparison::Unequal,
            Some(Token::Sign(":")) => Comparison::Contains,
            Some(Token::Sign(sign @ ("<" | "<=" | ">" | ">="))) if field.is_time() => match sign {
                "<" => Comparison::Less,
                "<=" => Comparison::AtMost,
                ">" => Comparison::More,
                _ => Comparison::AtLeast,
            },
            Some(Token::Sign(sign @ ("<" | "<=" | ">" | ">="))) => {
                return Err(FilterError(format!("`{sign}` compares times, and `{name}` is none")));
            }
            Some(found) => {
                return Err(FilterError(format!("`{name}` is followed by `{found}`, not by a comparison")));
            }
            None => return Err(FilterError(format!("`{name}` is compared with nothing"))),
        };
        let value = self.value()?;
        if field.is_time() && comparison != Comparison::Contains && document::time(&value).is_none() {
            let value = crate::text::shown(&value, 60);
            return Err(FilterError(format!("`{value}` is no time such as 2026-01-31T00:00:00Z")));
        }
        Ok(Filter::Compare(field, comparison, value))
    }

    fn value(&mut self) -> Result<String, FilterError> {
        match self.take() {
            Some(Token::Word(text) | Token::Text(text)) => Ok(text),
            Some(found) => Err(FilterError(format!("a value is expected, not `{found}`"))),
            None => Err(FilterError("a value is expected at the end".to_owned())),
        }
    }
}

fn field(name: &str) -> Result<Field, FilterError> {
    Field::named(name).ok_or_else(|| {
        FilterError(format!(
            "`{}` is no field that can be asked for: resourceUrl, kind, noteProjectId, noteId, noteName, name, createTime \
             and updateTime are, and has_prefix and has_suffix of them",
            crate::text::shown(name, 60)
        ))
    })
}

fn one_or(mut all: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match (all.len(), all.pop()) {
        (1, Some(one)) => one,
        (_, Some(last)) => {
            all.push(last);
            many(all)
        }
        (_, None) => Filter::All,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::borrow::Cow;

    use super::*;

    struct Sample;

    impl Row for Sample {
        fn value(&self, field: Field) -> Cow<'_, str> {
            Cow::Borrowed(match field {
                Field::Resource => "https://r.example/shop/app@sha256:abcd",
                Field::Kind => "ATTESTATION",
                Field::NoteProject => "sec",
                Field::Note => "qa",
                Field::NoteName => "projects/sec/notes/qa",
                Field::Name => "projects/shop/occurrences/1",
                Field::Created | Field::Updated => "2026-05-01T10:00:00Z",
            })
        }
    }

    #[test]
    fn what_is_kept() {
        for (filter, keeps) in [
            ("", true),
            ("kind=\"ATTESTATION\"", true),
            ("kind = ATTESTATION AND noteId='qa'", true),
            ("kind=\"VULNERABILITY\"", false),
            ("kind=\"VULNERABILITY\" OR kind=\"ATTESTATION\"", true),
            ("NOT kind=\"VULNERABILITY\"", true),
            ("-kind=\"ATTESTATION\"", false),
            ("kind!=\"VULNERABILITY\"", true),
            ("resourceUrl=\"https://r.example/shop/app@sha256:abcd\"", true),
            ("has_suffix(resourceUrl, \"sha256:abcd\")", true),
            ("has_suffix(resourceUrl,\"sha256:abce\")", false),
            ("has_prefix(resourceUrl, \"https://r.example/shop/\")", true),
            ("resourceUrl:\"shop\"", true),
            ("noteProjectId=\"sec\" noteId=\"qa\"", true),
            ("noteProjectId=\"sec\" noteId=\"qb\"", false),
            // `AND` binds loosest, then words side by side, then `OR`.
            ("kind=A OR noteId=qa AND noteProjectId=sec", true),
            ("kind=A AND noteId=qa OR noteProjectId=sec", false),
            ("(kind=A AND noteId=qa) OR noteProjectId=sec", true),
            ("NOT (kind=A OR noteId=qb)", true),
            ("createTime>\"2026-04-30T00:00:00Z\" AND createTime<=\"2026-05-01T12:00:00+02:00\"", true),
            ("createTime<\"2026-05-01T10:00:00Z\"", false),
            ("name=\"projects/shop/occurrences/1\"", true),
            ("noteId=\"q\\a\"", true),
        ] {
            assert_eq!(Filter::parse(filter).unwrap().keeps(&Sample), keeps, "{filter}");
        }
    }

    #[test]
    fn what_is_not_understood_is_no_filter() {
        let deep = format!("{}kind=A{}", "(".repeat(40), ")".repeat(40));
        let long = format!("kind=\"{}\"", "x".repeat(MAX_BYTES));
        assert!(Filter::parse(&["kind=A"; 64].join(" OR ")).is_ok());
        for (filter, says) in [
            ("kind", "compared with nothing"),
            ("kind=", "a value is expected at the end"),
            ("kind=\"A", "has no end"),
            ("=A", "a field is expected"),
            ("severity=HIGH", "`severity` is no field that can be asked for"),
            ("kind=A AND", "something is expected at the end"),
            ("kind=A)", "`)` is not expected"),
            ("(kind=A", "`)` is expected at the end"),
            ("kind<A", "compares times"),
            ("createTime<yesterday", "is no time"),
            ("has_suffix(resourceUrl)", "`,` is expected"),
            ("1=1; DROP TABLE notes", "`1` is no field"),
            ("kind='x' OR '1'='1'", "a field is expected"),
            (&deep, "levels deep"),
            (&long, "bytes allowed"),
            (&["kind=A"; 65].join(" OR "), "compares more than the 64 times allowed"),
        ] {
            let error = Filter::parse(filter).unwrap_err().to_string();
            assert!(error.contains(says), "{filter}: {error}");
        }
    }

    #[test]
    fn what_every_match_has() {
        let filter = Filter::parse("kind=A AND (noteId=qa) has_suffix(resourceUrl, \"x\")").unwrap();
        assert_eq!(filter.pinned(Field::Kind, Comparison::Equal), Some("A"));
        assert_eq!(filter.pinned(Field::Note, Comparison::Equal), Some("qa"));
        assert_eq!(filter.pinned(Field::Resource, Comparison::Suffix), Some("x"));
        for other in ["kind=A OR noteId=qa", "NOT kind=A", "kind!=A"] {
            assert_eq!(Filter::parse(other).unwrap().pinned(Field::Kind, Comparison::Equal), None, "{other}");
        }
    }
}
