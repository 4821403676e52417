-- Both SQLite and PostgreSQL take this. Numbers of rows are numbers of changes, which one counter gives out.

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('change', 0);

CREATE TABLE notes (
    seq BIGINT NOT NULL PRIMARY KEY,
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (project, id)
);
CREATE INDEX notes_of_project ON notes (project, seq);

CREATE TABLE occurrences (
    seq BIGINT NOT NULL PRIMARY KEY,
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    note_project TEXT NOT NULL,
    note TEXT NOT NULL,
    kind TEXT NOT NULL,
    resource TEXT NOT NULL,
    -- What the resource ends in: `sha256:…`, or nothing.
    digest TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (project, id)
);
CREATE INDEX occurrences_of_project ON occurrences (project, seq);
CREATE INDEX occurrences_of_note ON occurrences (note_project, note, seq);
CREATE INDEX occurrences_of_digest ON occurrences (digest, seq);

-- Policies, attestors, platform policies and bundles: whole documents, replaced as such.
CREATE TABLE documents (
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    etag TEXT NOT NULL,
    updated TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, project, id)
);
CREATE INDEX documents_by_number ON documents (kind, project, seq);

-- Who changed what: read by auditors, and by nodes that follow.
CREATE TABLE changes (
    seq BIGINT NOT NULL PRIMARY KEY,
    time TEXT NOT NULL,
    who TEXT NOT NULL,
    -- note, occurrence, policy, attestor, platform policy, bundle, access
    what TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Of an occurrence: where it is, its note, its resource. What it was and is, is the digest of its body.
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    note TEXT NOT NULL,
    resource TEXT NOT NULL,
    before TEXT,
    after TEXT
);

-- Who may do what. A token is known by its hash alone.
CREATE TABLE principals (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    roles TEXT NOT NULL,
    created TEXT NOT NULL
);
