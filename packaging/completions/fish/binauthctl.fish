# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_binauthctl_global_optspecs
    string join \n config= o/output= h/help V/version
end

function __fish_binauthctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_binauthctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_binauthctl_using_subcommand
    set -l cmd (__fish_binauthctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c binauthctl -n "__fish_binauthctl_needs_command" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_needs_command" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_needs_command" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "create-signature-payload" -d 'Print the payload that an attestation of an image signs'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "attestors" -d 'Who may attest: attestors and their keys'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "attestations" -d 'What was attested: sign, file, list and verify'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "policy" -d 'The policy document: check, import, export; signed bundles: sign, show'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "config" -d 'The daemon\'s configuration file'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "containerd" -d 'What containerd is told, so that it asks binauthd'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "floor" -d 'What this node needs before it can reach anything'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "trust" -d 'What this node remembers of what it has accepted'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "break-glass" -d 'Let images run although the policy refuses them: signed, for a while, by digest and namespace'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "evaluate" -d 'Judge an image, by files or by the daemon'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "bundle" -d 'Carry policy bundle and attestations to where no network leads'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "cache" -d 'What the daemon on this node has on file, and where from'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "audit" -d 'The audit trail: whether it is what the daemon wrote'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "status" -d 'Tell what the daemon on this node knows and does'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "doctor" -d 'Tell whether this node is asked, and refuses: item by item, with the fix'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "completion" -d 'Print what a shell needs to complete command lines'
complete -c binauthctl -n "__fish_binauthctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand create-signature-payload" -l artifact-url -d 'The image, by its digest: REPOSITORY@sha256:DIGITS, with or without https://' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand create-signature-payload" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand create-signature-payload" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand create-signature-payload" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand create-signature-payload" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -f -a "create" -d 'Write the document of a new attestor, without keys'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -f -a "list" -d 'List the attestors'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -f -a "describe" -d 'Show one attestor'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -f -a "delete" -d 'Remove the document of an attestor; what requires it is refused from then on'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -f -a "public-keys" -d 'The keys that verify an attestor\'s attestations'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and not __fish_seen_subcommand_from create list describe delete public-keys help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l attestation-authority-note -d 'The note its attestations hang on: an id, or projects/PROJECT/notes/ID' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l attestation-authority-note-project -d 'The project of a note that is named by its id [default: the attestor\'s]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l project -d 'The project of the attestor' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l description -d 'Free text for people' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l create-note -d 'Make the note at the store as well, where it is not there'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l project -d 'Only those of this project; a store must be told which' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l project -d 'The project of an attestor that is named by its id' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from describe" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l project -d 'The project of an attestor that is named by its id' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from delete" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from public-keys" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from public-keys" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from public-keys" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from public-keys" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from public-keys" -f -a "add" -d 'Add a key; comments in a YAML document are lost when it is rewritten'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from public-keys" -f -a "remove" -d 'Remove a key: what it signed no longer counts'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from public-keys" -f -a "list" -d 'List the keys of an attestor'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from public-keys" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from help" -f -a "create" -d 'Write the document of a new attestor, without keys'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the attestors'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from help" -f -a "describe" -d 'Show one attestor'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Remove the document of an attestor; what requires it is refused from then on'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from help" -f -a "public-keys" -d 'The keys that verify an attestor\'s attestations'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestors; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -f -a "sign-and-create" -d 'Sign an image\'s payload with a key of a file, a PKCS#11 token or Cloud KMS, and file the attestation'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -f -a "create" -d 'File an attestation whose signature was made elsewhere'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -f -a "list" -d 'List attestations and whether they verify'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -f -a "verify" -d 'Check that an image is attested'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and not __fish_seen_subcommand_from sign-and-create create list verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l artifact-url -d 'The image, by its digest: REPOSITORY@sha256:DIGITS, with or without https://' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l attestor -d 'The attestor: its id, or projects/PROJECT/attestors/ID' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l attestor-project -d 'The project of an attestor that is named by its id' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l project -d 'The project that the occurrence belongs to [default: the attestor\'s]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l occurrences -d 'Folder of occurrence documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l private-key-file -l key -d 'PEM file with an EC P-256 private key, SEC1 or PKCS#8, not encrypted' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l pkcs11-key -d 'A private key on a PKCS#11 token (RFC 7512): pkcs11:token=T;object=O, EC or RSA. The PIN is read from `?pin-source=file:/PATH`, or from the environment as BINAUTHCTL_PKCS11_PIN' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l pkcs11-module -d 'The token\'s library [default: `?module-path=` of the URI]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l keyversion -d 'A key version of Google Cloud KMS: its name in full, or its number beside the four flags below' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l keyversion-project -d 'The project of its key' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l keyversion-location -d 'The location of its key ring' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l keyversion-keyring -d 'The key ring' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l keyversion-key -d 'The key' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l kms-url -d 'Where KMS is asked; plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l kms-token-file -d 'File with the token for KMS [default: BINAUTHCTL_KMS_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l kms-ca -d 'Certificates (PEM) that vouch for KMS, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l public-key-id -d 'The id of the attestor\'s key to sign under [default: the one that is this key]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l dsse-type -d 'The payload type of that encoding; verifiers must have it among their `dsse_types`' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l store-attestors -d 'Ask the store for attestors too, in place of a folder: whoever keeps it says then whose keys count'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l kms-metadata-server -d 'Sign as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -l pae-encode-payload -d 'Sign the DSSE pre-authentication encoding of the payload, as Google recommends for check sets'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from sign-and-create" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l artifact-url -d 'The image, by its digest: REPOSITORY@sha256:DIGITS, with or without https://' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l attestor -d 'The attestor: its id, or projects/PROJECT/attestors/ID' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l attestor-project -d 'The project of an attestor that is named by its id' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l project -d 'The project that the occurrence belongs to [default: the attestor\'s]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l occurrences -d 'Folder of occurrence documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l signature-file -d 'The signature as a tool writes it (`openssl dgst -sign`, `gpg --sign`); base64 of it is understood too' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l public-key-id -d 'The id of the key it was made with, as `attestors public-keys list` shows it' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l payload-file -d 'What was signed [default: what create-signature-payload prints]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l store-attestors -d 'Ask the store for attestors too, in place of a folder: whoever keeps it says then whose keys count'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l validate -d 'File it only if the attestor accepts it (the default)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -l no-validate -d 'File it whether or not the attestor accepts it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l attestor -d 'Only those of this attestor' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l attestor-project -l project -d 'The project of an attestor that is named by its id' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l artifact-url -d 'Only those of this image\'s digest' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l occurrences -d 'Folder of occurrence documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l store-attestors -d 'Ask the store for attestors too, in place of a folder: whoever keeps it says then whose keys count'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l artifact-url -d 'The image, by its digest: REPOSITORY@sha256:DIGITS, with or without https://' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l attestor -d 'An attestor that must have attested it, again for more [default: those the policy requires]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l attestor-project -l project -d 'The project of attestors that are named by their ids' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l policy -d 'The policy that says whom to ask [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l occurrences -d 'Folder of occurrence documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l store-attestors -d 'Ask the store for attestors too, in place of a folder: whoever keeps it says then whose keys count'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from help" -f -a "sign-and-create" -d 'Sign an image\'s payload with a key of a file, a PKCS#11 token or Cloud KMS, and file the attestation'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from help" -f -a "create" -d 'File an attestation whose signature was made elsewhere'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from help" -f -a "list" -d 'List attestations and whether they verify'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check that an image is attested'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand attestations; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "check" -d 'Check that a policy, or a platform policy, is valid and that every attestor it names can be satisfied'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "import" -d 'Check a policy and put it where the daemon reads it, byte for byte'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "export" -d 'Print the policy in its canonical form: fields in the order of the API, nothing that is blank'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "push" -d 'Put a signed bundle where nodes fetch it: at a binauth-store'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "fetch" -d 'Get the signed bundle of a project from a binauth-store'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "exceptions" -d 'List what the allowlist exempts: who answers for each entry, where more is said, and when it ends'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "sign" -d 'Put policy, attestors and lists into one signed bundle'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "show" -d 'Tell what a bundle holds, and whether it is signed by a bundle key'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and not __fish_seen_subcommand_from check import export push fetch exceptions sign show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l project -d 'The project whose policy the store has' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l policy -d 'The same as FILE' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l allow-multiple-rule-maps -d 'Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -l strict -d 'Exit 1 also for warnings'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l to -d 'Where to [default: where the daemon is configured to read it]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l project -d 'The project whose policy it becomes at the store [default: that of `name` in the file]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -l allow-multiple-rule-maps -d 'Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from import" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -l project -d 'The project whose policy the store has' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from export" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l bundle-keys -l bundle-key -d 'PEM file of a key that it may be signed with, again for more [default: the configured ones]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l allow-multiple-rule-maps -d 'Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l replace -d 'Put it there whatever version is there now, such as after a mistake'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from push" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l project -d 'Whose bundle' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l to -d 'Where it is written to' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l bundle-keys -l bundle-key -d 'PEM file of a key that it may be signed with, again for more [default: the configured ones]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l allow-multiple-rule-maps -d 'Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from fetch" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l project -d 'The project whose policy the store has' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -l strict -d 'Exit 1 where an entry is over'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from exceptions" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l project -d 'Whose nodes it is for: `project` of their `[policy]`' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l version -d 'Higher than that of every bundle before it' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l expires -d 'From when on it is not accepted: RFC 3339, such as 2027-01-01T00:00:00Z' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l expires-in -d 'The same, from now on: such as 90d' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l policy -d 'The policy' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l platform-policy -d 'Check sets, obeyed beside the policy' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l deny-list -d 'Digests that are refused, beside those of each node\'s own list' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l system-policy -d 'What the nodes need, in place of their own' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l attestors -d 'Folder of attestor documents: all of them' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l private-key-file -l key -d 'PEM file with an EC P-256 private key, SEC1 or PKCS#8, not encrypted' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l signature-file -d 'A signature that was made elsewhere over those bytes, by all the same other flags; base64 of it is understood too. Again for more' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l key-id -d 'The id of the key that each was made with, in the same order: a hint for those who check it' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l to -d 'Where it is written to' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l allow-multiple-rule-maps -d 'Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -l pae -d 'Write the bytes to sign instead, for a key that is elsewhere'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l project -d 'The project whose bundle the store has' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l bundle-keys -l bundle-key -d 'PEM file of a key that it may be signed with, again for more [default: the configured ones]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l allow-multiple-rule-maps -d 'Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check that a policy, or a platform policy, is valid and that every attestor it names can be satisfied'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "import" -d 'Check a policy and put it where the daemon reads it, byte for byte'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "export" -d 'Print the policy in its canonical form: fields in the order of the API, nothing that is blank'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "push" -d 'Put a signed bundle where nodes fetch it: at a binauth-store'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "fetch" -d 'Get the signed bundle of a project from a binauth-store'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "exceptions" -d 'List what the allowlist exempts: who answers for each entry, where more is said, and when it ends'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Put policy, attestors and lists into one signed bundle'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "show" -d 'Tell what a bundle holds, and whether it is signed by a bundle key'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -f -a "check" -d 'Check that a configuration is valid and that every key in it is known'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and not __fish_seen_subcommand_from check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and __fish_seen_subcommand_from check" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check that a configuration is valid and that every key in it is known'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -f -a "enable" -d 'Make containerd ask binauthd'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -f -a "disable" -d 'Make containerd as it was before it was made to ask'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -f -a "refresh" -d 'Give containerd the programs of this version, and base runtime specs of its own version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -f -a "base-spec" -d 'Print or write the base runtime spec that makes every container of a runtime handler pass the create gate'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and not __fish_seen_subcommand_from enable disable refresh base-spec help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l pause -d 'The pause image, by digest, that containerd is told to use [default: the configured one, by the digest it has on this node]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l unit -d 'containerd\'s unit [default: the one that was named last, or containerd.service]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l containerd -d 'containerd\'s program [default: the one that runs, or the one on the path]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l containerd-config -d 'containerd\'s configuration file [default: the one that it was started with, or /etc/containerd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l ctr -d 'The `ctr` of containerd\'s own version [default: beside containerd\'s program]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l copies -d 'The folder of what is copied' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l programs -d 'The folder of the gate programs' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l observe -d 'A gate that gets no answer lets through, and leaves a record'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l enforce -d 'A gate that gets no answer refuses'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l dry-run -d 'Show what would be changed, and change nothing'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l force -d 'Go on where a digest of the floor would have been blocked, the daemon does not answer, or containerd\'s file says that it is generated'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l keep-pull-settings -d 'Leave settings alone that lead kubelet\'s pulls around the verifier: creation judges alone then'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -l restart -d 'Restart containerd'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from enable" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l unit -d 'containerd\'s unit [default: the one that was named last, or containerd.service]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l containerd -d 'containerd\'s program [default: the one that runs, or the one on the path]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l containerd-config -d 'containerd\'s configuration file [default: the one that it was started with, or /etc/containerd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l ctr -d 'The `ctr` of containerd\'s own version [default: beside containerd\'s program]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l copies -d 'The folder of what is copied' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l programs -d 'The folder of the gate programs' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l dry-run -d 'Show what would be changed, and change nothing'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -l restart -d 'Restart containerd'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from disable" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -l containerd -d 'containerd\'s program [default: the one that runs, or the one on the path]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -l containerd-config -d 'containerd\'s configuration file [default: the one that it was started with, or /etc/containerd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -l ctr -d 'The `ctr` of containerd\'s own version [default: beside containerd\'s program]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -l copies -d 'The folder of what is copied' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -l programs -d 'The folder of the gate programs' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from refresh" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l from -d 'The base runtime spec that the handlers have already' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l to -d 'Where to write it; replaced in one step [default: standard output]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l hook -d 'The hook\'s program' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l wait -d 'How long the hook asks a daemon that gives no answer' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l defaults -d 'What `ctr oci spec` of this containerd printed [default: it is run]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l ctr -d 'The `ctr` to run: it must be of the version of containerd' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l containerd-version -d 'containerd\'s version [default: the one that answers on its socket is asked]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l address -d 'containerd\'s socket [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -l observe -d 'Let containers start for which the daemon gives no answer'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from base-spec" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Make containerd ask binauthd'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Make containerd as it was before it was made to ask'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from help" -f -a "refresh" -d 'Give containerd the programs of this version, and base runtime specs of its own version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from help" -f -a "base-spec" -d 'Print or write the base runtime spec that makes every container of a runtime handler pass the create gate'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand containerd; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and not __fish_seen_subcommand_from generate check help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and not __fish_seen_subcommand_from generate check help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and not __fish_seen_subcommand_from generate check help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and not __fish_seen_subcommand_from generate check help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and not __fish_seen_subcommand_from generate check help" -f -a "generate" -d 'List what this node needs before it can reach anything, and make the system policy of it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and not __fish_seen_subcommand_from generate check help" -f -a "check" -d 'Tell which images of a list, or of this node, are not in the system policy'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and not __fish_seen_subcommand_from generate check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -l from-images -d 'Images, one a line, `#` begins a comment; again for more' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -l image -d 'One more image, such as the metadata store\'s; again for more' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -l manifests -d 'The folder of static pods' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -l namespace -d 'Take all running containers of this Kubernetes namespace, such as calico-system; again for more' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -l system-policy -d 'The system policy [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -l from-node -d 'What this node runs and would run at its next boot (the default)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -l write -d 'Write the system policy; the one from before is kept beside it with `.old` behind its name'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from generate" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -l from-images -d 'Images, one a line, `#` begins a comment; again for more' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -l image -d 'One more image, such as the metadata store\'s; again for more' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -l manifests -d 'The folder of static pods' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -l namespace -d 'Take all running containers of this Kubernetes namespace, such as calico-system; again for more' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -l system-policy -d 'The system policy [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -l from-node -d 'What this node runs and would run at its next boot (the default)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from help" -f -a "generate" -d 'List what this node needs before it can reach anything, and make the system policy of it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from help" -f -a "check" -d 'Tell which images of a list, or of this node, are not in the system policy'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand floor; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and not __fish_seen_subcommand_from show reset help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and not __fish_seen_subcommand_from show reset help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and not __fish_seen_subcommand_from show reset help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and not __fish_seen_subcommand_from show reset help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and not __fish_seen_subcommand_from show reset help" -f -a "show" -d 'Tell the highest policy bundle that was accepted, the documents kept and the latest time seen'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and not __fish_seen_subcommand_from show reset help" -f -a "reset" -d 'Forget what was accepted, so that something else can be'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and not __fish_seen_subcommand_from show reset help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from show" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from show" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from reset" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from reset" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from reset" -l bundle -d 'Forget the policy bundle and its version: any version is accepted again, and until one is, every image is refused'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from reset" -l time -d 'Forget the latest time seen: the clock is believed again'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from reset" -l all -d 'Forget both, and the last good versions of all documents; revoked break-glass grants stay so'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from reset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from reset" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "show" -d 'Tell the highest policy bundle that was accepted, the documents kept and the latest time seen'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "reset" -d 'Forget what was accepted, so that something else can be'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -f -a "grant" -d 'Sign a grant: these digests may run in these namespaces, until then, for this reason'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -f -a "apply" -d 'Check a grant or a revocation by this node\'s keys and put it into its folder'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -f -a "revoke" -d 'Revoke grants on this node, at once and for good; with --to, sign that for many nodes'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -f -a "list" -d 'List the grants of this node, how each stands and how often it was used, and what is revoked'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and not __fish_seen_subcommand_from grant apply revoke list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l digest -d 'What may run: the digest of an index, of a platform manifest or of a config; again for more. A pull knows that of index or manifest alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l namespace -d 'Where it may, again for more' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l reason -d 'Why: everybody will read it' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l ticket -d 'Where more is said' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l issuer -d 'Who grants it, for people' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l expires -d 'When it ends: a duration from its beginning, such as 4h, or a time of RFC 3339' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l not-before -d 'When it begins, RFC 3339 [default: now]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l serial -d 'What tells it from every other grant [default: made up]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l cluster -d 'The cluster that it holds in, as LOCATION.NAME, again for more [default: any]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l node -d 'The node that it holds on, again for more [default: any]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l private-key-file -l key -d 'PEM file with an EC P-256 private key, SEC1 or PKCS#8, not encrypted' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l pkcs11-key -d 'A private key on a PKCS#11 token (RFC 7512): pkcs11:token=T;object=O, EC or RSA. The PIN is read from `?pin-source=file:/PATH`, or from the environment as BINAUTHCTL_PKCS11_PIN' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l pkcs11-module -d 'The token\'s library [default: `?module-path=` of the URI]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l keyversion -d 'A key version of Google Cloud KMS: its name in full, or its number beside the four flags below' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l keyversion-project -d 'The project of its key' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l keyversion-location -d 'The location of its key ring' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l keyversion-keyring -d 'The key ring' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l keyversion-key -d 'The key' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l kms-url -d 'Where KMS is asked; plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l kms-token-file -d 'File with the token for KMS [default: BINAUTHCTL_KMS_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l kms-ca -d 'Certificates (PEM) that vouch for KMS, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l to -d 'Where it is written to' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l any-namespace -d 'It may anywhere'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -l kms-metadata-server -d 'Sign as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from grant" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from apply" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from apply" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from apply" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l reason -d 'Why, for people' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l private-key-file -l key -d 'PEM file with an EC P-256 private key, SEC1 or PKCS#8, not encrypted' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l pkcs11-key -d 'A private key on a PKCS#11 token (RFC 7512): pkcs11:token=T;object=O, EC or RSA. The PIN is read from `?pin-source=file:/PATH`, or from the environment as BINAUTHCTL_PKCS11_PIN' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l pkcs11-module -d 'The token\'s library [default: `?module-path=` of the URI]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l keyversion -d 'A key version of Google Cloud KMS: its name in full, or its number beside the four flags below' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l keyversion-project -d 'The project of its key' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l keyversion-location -d 'The location of its key ring' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l keyversion-keyring -d 'The key ring' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l keyversion-key -d 'The key' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l kms-url -d 'Where KMS is asked; plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l kms-token-file -d 'File with the token for KMS [default: BINAUTHCTL_KMS_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l kms-ca -d 'Certificates (PEM) that vouch for KMS, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l to -d 'Sign a revocation and write it there' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -l kms-metadata-server -d 'Sign as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from list" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from list" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from help" -f -a "grant" -d 'Sign a grant: these digests may run in these namespaces, until then, for this reason'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from help" -f -a "apply" -d 'Check a grant or a revocation by this node\'s keys and put it into its folder'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revoke grants on this node, at once and for good; with --to, sign that for many nodes'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the grants of this node, how each stands and how often it was used, and what is revoked'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand break-glass; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l policy -d 'Policy to judge by [default: the configured one, and none beside --platform-policy]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l platform-policy -d 'Platform policy (check sets) to judge by as well [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l deny-list -d 'Deny list to judge by [default: the configured one, where there is one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l system-policy -d 'System policy to judge by [default: the configured one, where there is one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l break-glass -d 'Break-glass grant to judge by as well, again for more [default: none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l break-glass-key -d 'PEM file of a key that grants may be signed with, again for more [default: the configured ones]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l project -d 'Judge by the policy that the store has for this project, and by the attestors that it has, where no flag names a folder of them' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l attestors -d 'Folder of attestor documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l occurrences -d 'Folder of occurrence documents [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l cluster -d 'Cluster as LOCATION.NAME [default: the configured one]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l namespace -d 'Namespace of the pod' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l service-account -d 'Service account of the pod: its name, or NAMESPACE:NAME' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l mesh-identity -d 'Mesh identity of the pod: spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l index -d 'Digest of the image\'s index, where the image is named by its manifest or by tag' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l manifest -d 'Digest of its manifest for the node\'s platform, where it is named by its index or by tag' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l config-digest -d 'Digest of its config, which the deny list may name' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l now -d 'Judge as of this time, RFC 3339 [default: now]' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l allow-multiple-rule-maps -d 'Take a policy that has rules of several kinds (service account, mesh identity, namespace, cluster)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l store-attestors -d 'Ask the store for attestors too, in place of a folder: whoever keeps it says then whose keys count'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l break-glass-label -d 'The pod carries the label image-policy.k8s.io/break-glass: "true"'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l explain -d 'Tell how the verdict comes about: each step, each attestor, each signature that is looked at'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l strict -d 'Exit 1 also for what is allowed in dry run only'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -l offline -d 'Judge by files even where no flag names one'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand evaluate" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and not __fish_seen_subcommand_from export import help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and not __fish_seen_subcommand_from export import help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and not __fish_seen_subcommand_from export import help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and not __fish_seen_subcommand_from export import help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and not __fish_seen_subcommand_from export import help" -f -a "export" -d 'Write what this node has into one file'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and not __fish_seen_subcommand_from export import help" -f -a "import" -d 'Put what is in such a file where this node\'s daemon reads it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and not __fish_seen_subcommand_from export import help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l to -d 'The file to write; replaced in one step' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l digest -d 'Only attestations of this digest (sha256:…); again for more' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l policy-bundle -d 'Take this policy bundle' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l occurrences -d 'Take the attestations of this folder' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l project -d 'Take the policy bundle that the store has for this project' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l store -d 'Server to use in place of files: a binauth-store, https://binaryauthorization.googleapis.com (which stands for https://containeranalysis.googleapis.com too, and the other way round), or another that speaks the same REST (v1); plain http for a loopback address alone' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l store-token-file -d 'File with the token for it [default: BINAUTHCTL_STORE_TOKEN of the environment, or none]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l store-certificate -d 'Client certificate to speak with, and its chain (PEM)' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l store-key -d 'Its private key (PEM); may be the same file' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l store-ca -d 'Certificates (PEM) that vouch for it, and no others [default: the system\'s]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -l store-metadata-server -d 'Speak as the service account of this machine of Google\'s: ask its metadata server for the token'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from export" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from import" -l policy-bundle -d 'Where the policy bundle goes: a file, or a folder [default: `[policy] bundle` of the configuration]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from import" -l occurrences -d 'Where the attestations go [default: the first occurrence folder of the configuration]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from import" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from import" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from import" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write what this node has into one file'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "import" -d 'Put what is in such a file where this node\'s daemon reads it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -f -a "stats" -d 'How full memory and disk are, and how each source does'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -f -a "list" -d 'Digests that something is on file for'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -f -a "show" -d 'All that is known of a digest: documents, and who has attested it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -f -a "refresh" -d 'Ask the sources again: for one digest, or for everything'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -f -a "drop" -d 'Forget a digest, or everything; the sources give it again'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -f -a "accept-deletions" -d 'Let go what a source no longer gives and what was kept because that looked like a fault'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and not __fish_seen_subcommand_from stats list show refresh drop accept-deletions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from stats" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from stats" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from stats" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from list" -l limit -d 'At most so many' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from list" -l after -d 'Only those after this digest' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from list" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from list" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from show" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from show" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from refresh" -l wait -d 'How long to wait until every source has been read' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from refresh" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from refresh" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from refresh" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from refresh" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from drop" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from drop" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from drop" -l all -d 'Everything'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from drop" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from accept-deletions" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from accept-deletions" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from accept-deletions" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from accept-deletions" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "stats" -d 'How full memory and disk are, and how each source does'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "list" -d 'Digests that something is on file for'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "show" -d 'All that is known of a digest: documents, and who has attested it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "refresh" -d 'Ask the sources again: for one digest, or for everything'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "drop" -d 'Forget a digest, or everything; the sources give it again'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "accept-deletions" -d 'Let go what a source no longer gives and what was kept because that looked like a fault'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -f -a "verify" -d 'Look the trail over for edits, and for lines that are missing or moved'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -f -a "tail" -d 'Show the newest lines of the trail, and with -f those that follow'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -f -a "query" -d 'Find lines of the trail: by time, namespace, image, verdict, reason, rule'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -f -a "report" -d 'Tell what the trail comes to: what would be blocked, by whom, over time; and the table of controls'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and not __fish_seen_subcommand_from verify tail query report help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l file -d 'One file alone: where it begins and ends proves nothing' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l head -d 'A line that must be there, from the journal' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l file -d 'The trail\'s newest file; the rotated ones beside it are read too [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l kind -d 'Decisions (`decision`, `repeats`, `summary`), or `change`, `start`, `gap` …' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l gate -d 'Where it was asked: pull, pod, create or running' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l verdict -d 'What was decided: ALLOW, DENY or CANNOT_DECIDE' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l would -d 'What it would be without dry run' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l reason -d 'A reason code, see binauthd-reasons(7)' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l rule -d 'A part of the rule\'s name' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l namespace -d 'The pod\'s namespace; pulls have none' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l image -d 'A part of the image\'s name' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l digest -d 'The image\'s digest' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -s n -l lines -d 'How many' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -s f -l follow -d 'Go on with what is written from now on, through rotations, until interrupted'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l file -d 'The trail\'s newest file; the rotated ones beside it are read too [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l kind -d 'Decisions (`decision`, `repeats`, `summary`), or `change`, `start`, `gap` …' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l gate -d 'Where it was asked: pull, pod, create or running' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l verdict -d 'What was decided: ALLOW, DENY or CANNOT_DECIDE' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l would -d 'What it would be without dry run' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l reason -d 'A reason code, see binauthd-reasons(7)' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l rule -d 'A part of the rule\'s name' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l namespace -d 'The pod\'s namespace; pulls have none' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l image -d 'A part of the image\'s name' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l digest -d 'The image\'s digest' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l since -d 'Not before: a time (RFC 3339), or so long ago, such as 24h or 14d' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l until -d 'Before' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l limit -d 'How many lines at most, the newest' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from query" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l file -d 'The trail\'s newest file; the rotated ones beside it are read too [default: the configured one]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l kind -d 'Decisions (`decision`, `repeats`, `summary`), or `change`, `start`, `gap` …' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l gate -d 'Where it was asked: pull, pod, create or running' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l verdict -d 'What was decided: ALLOW, DENY or CANNOT_DECIDE' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l would -d 'What it would be without dry run' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l reason -d 'A reason code, see binauthd-reasons(7)' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l rule -d 'A part of the rule\'s name' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l namespace -d 'The pod\'s namespace; pulls have none' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l image -d 'A part of the image\'s name' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l digest -d 'The image\'s digest' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l since -d 'Not before: a time (RFC 3339), or so long ago, such as 24h or 14d' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l until -d 'Before' -r
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l format -d 'What it is written as; `-o json` is JSON too [default: markdown]' -r -f -a "markdown\t''
html\t''
json\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l to -d 'Where to write it; replaced in one step [default: standard output]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from report" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Look the trail over for edits, and for lines that are missing or moved'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "tail" -d 'Show the newest lines of the trail, and with -f those that follow'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "query" -d 'Find lines of the trail: by time, namespace, image, verdict, reason, rule'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "report" -d 'Tell what the trail comes to: what would be blocked, by whom, over time; and the table of controls'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand status" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand status" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand status" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -l containerd -d 'containerd\'s program [default: the one that runs, or the one on the path]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -l containerd-config -d 'containerd\'s configuration file [default: the one that it was started with, or /etc/containerd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -l programs -d 'The folder of the gate programs of this version' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -l canary -d 'Also show the real runtime an image that nobody may let through, at the pull and at creation, and see what becomes of it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -l problems -d 'Show only what is not fine'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand completion" -l config -d 'Configuration that the default paths come from [default: /etc/binauthd/config.toml]' -r -F
complete -c binauthctl -n "__fish_binauthctl_using_subcommand completion" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
json\t''
yaml\t''"
complete -c binauthctl -n "__fish_binauthctl_using_subcommand completion" -s h -l help -d 'Print help'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand completion" -s V -l version -d 'Print version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "create-signature-payload" -d 'Print the payload that an attestation of an image signs'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "attestors" -d 'Who may attest: attestors and their keys'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "attestations" -d 'What was attested: sign, file, list and verify'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "policy" -d 'The policy document: check, import, export; signed bundles: sign, show'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "config" -d 'The daemon\'s configuration file'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "containerd" -d 'What containerd is told, so that it asks binauthd'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "floor" -d 'What this node needs before it can reach anything'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "trust" -d 'What this node remembers of what it has accepted'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "break-glass" -d 'Let images run although the policy refuses them: signed, for a while, by digest and namespace'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "evaluate" -d 'Judge an image, by files or by the daemon'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "bundle" -d 'Carry policy bundle and attestations to where no network leads'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "cache" -d 'What the daemon on this node has on file, and where from'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "audit" -d 'The audit trail: whether it is what the daemon wrote'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "status" -d 'Tell what the daemon on this node knows and does'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "doctor" -d 'Tell whether this node is asked, and refuses: item by item, with the fix'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "completion" -d 'Print what a shell needs to complete command lines'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and not __fish_seen_subcommand_from create-signature-payload attestors attestations policy config containerd floor trust break-glass evaluate bundle cache audit status doctor completion help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestors" -f -a "create" -d 'Write the document of a new attestor, without keys'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestors" -f -a "list" -d 'List the attestors'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestors" -f -a "describe" -d 'Show one attestor'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestors" -f -a "delete" -d 'Remove the document of an attestor; what requires it is refused from then on'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestors" -f -a "public-keys" -d 'The keys that verify an attestor\'s attestations'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestations" -f -a "sign-and-create" -d 'Sign an image\'s payload with a key of a file, a PKCS#11 token or Cloud KMS, and file the attestation'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestations" -f -a "create" -d 'File an attestation whose signature was made elsewhere'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestations" -f -a "list" -d 'List attestations and whether they verify'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from attestations" -f -a "verify" -d 'Check that an image is attested'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "check" -d 'Check that a policy, or a platform policy, is valid and that every attestor it names can be satisfied'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "import" -d 'Check a policy and put it where the daemon reads it, byte for byte'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "export" -d 'Print the policy in its canonical form: fields in the order of the API, nothing that is blank'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "push" -d 'Put a signed bundle where nodes fetch it: at a binauth-store'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "fetch" -d 'Get the signed bundle of a project from a binauth-store'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "exceptions" -d 'List what the allowlist exempts: who answers for each entry, where more is said, and when it ends'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "sign" -d 'Put policy, attestors and lists into one signed bundle'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "show" -d 'Tell what a bundle holds, and whether it is signed by a bundle key'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Check that a configuration is valid and that every key in it is known'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from containerd" -f -a "enable" -d 'Make containerd ask binauthd'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from containerd" -f -a "disable" -d 'Make containerd as it was before it was made to ask'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from containerd" -f -a "refresh" -d 'Give containerd the programs of this version, and base runtime specs of its own version'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from containerd" -f -a "base-spec" -d 'Print or write the base runtime spec that makes every container of a runtime handler pass the create gate'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from floor" -f -a "generate" -d 'List what this node needs before it can reach anything, and make the system policy of it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from floor" -f -a "check" -d 'Tell which images of a list, or of this node, are not in the system policy'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "show" -d 'Tell the highest policy bundle that was accepted, the documents kept and the latest time seen'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "reset" -d 'Forget what was accepted, so that something else can be'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from break-glass" -f -a "grant" -d 'Sign a grant: these digests may run in these namespaces, until then, for this reason'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from break-glass" -f -a "apply" -d 'Check a grant or a revocation by this node\'s keys and put it into its folder'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from break-glass" -f -a "revoke" -d 'Revoke grants on this node, at once and for good; with --to, sign that for many nodes'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from break-glass" -f -a "list" -d 'List the grants of this node, how each stands and how often it was used, and what is revoked'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from bundle" -f -a "export" -d 'Write what this node has into one file'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from bundle" -f -a "import" -d 'Put what is in such a file where this node\'s daemon reads it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "stats" -d 'How full memory and disk are, and how each source does'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "list" -d 'Digests that something is on file for'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "show" -d 'All that is known of a digest: documents, and who has attested it'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "refresh" -d 'Ask the sources again: for one digest, or for everything'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "drop" -d 'Forget a digest, or everything; the sources give it again'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "accept-deletions" -d 'Let go what a source no longer gives and what was kept because that looked like a fault'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Look the trail over for edits, and for lines that are missing or moved'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "tail" -d 'Show the newest lines of the trail, and with -f those that follow'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "query" -d 'Find lines of the trail: by time, namespace, image, verdict, reason, rule'
complete -c binauthctl -n "__fish_binauthctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "report" -d 'Tell what the trail comes to: what would be blocked, by whom, over time; and the table of controls'
