//! What `--help` says, word for word.

use clap::{CommandFactory, Parser};

use super::Cli;

fn help(path: &[&str]) -> String {
    let mut command = Cli::command().term_width(90);
    command.build();
    let mut command = &mut command;
    for name in path {
        command = command.find_subcommand_mut(name).unwrap();
    }
    let help = command.render_long_help().to_string();
    // clap leaves spaces on the blank lines of lists.
    help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_example_of_the_help_can_be_typed() {
    let examples = crate::examples::of(&Cli::command());
    assert!(examples.len() > 60, "they are found: {}", examples.len());
    let wrong: Vec<String> = examples
        .iter()
        .filter_map(|example| {
            let error = Cli::try_parse_from(&example.words).err()?;
            Some(format!("{}: {}", example.line, error.to_string().lines().next().unwrap_or_default()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Each command that does something shows how.
    let cli = Cli::command();
    let without = cli.get_subcommands().filter(|command| crate::examples::of(command).is_empty());
    let without: Vec<&str> = without.map(clap::Command::get_name).collect();
    assert!(without.is_empty(), "without an example: {without:?}");
}

/// The names of all commands that are shown, those above them first.
fn paths(command: &clap::Command, above: &[&str]) -> Vec<Vec<String>> {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help");
    shown
        .flat_map(|one| {
            let path = [above, &[one.get_name()]].concat();
            let own = path.iter().map(|name| (*name).to_owned()).collect();
            std::iter::once(own).chain(paths(one, &path))
        })
        .collect()
}

/// The texts of those commands that are not written below, one a file.
#[test]
fn the_help_of_every_other_command_is_word_for_word_that_of_its_file() {
    let here = include_str!("help_tests.rs");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/help");
    let mut files = Vec::new();
    for path in paths(&Cli::command(), &[]) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if here.contains(&format!("help(&{path:?})")) {
            continue;
        }
        let name = path.join("-");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name.as_str(), help(&path)));
        files.push(format!("{name}.snap"));
    }
    let known =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = known.filter(|file| file.ends_with(".snap") && !files.contains(file)).collect();
    assert!(left.is_empty(), "of commands that there are no more: {left:?}");
}

#[test]
fn the_help_lists_the_commands() {
    insta::assert_snapshot!(help(&[]), @"
    An always current picture of many datastore clusters, and an ordered history of every
    change in them

    Usage: replicante <COMMAND>

    Commands:
      demo           Watch it work on a simulated fleet that changes, with nothing installed
      up             Run it on this machine, for your own discoveries
      context        Name deployments, and choose the one in use
      get            Show what is known now: clusters, one cluster, discoveries
      events         Show what changed, and when
      at             Show a cluster as it was at a moment of the past
      diff           Show what is different in a cluster between two moments
      status         Say whether Replicante itself is well, and what to do where it is not
      runs           Show what the last tasks of a cluster or discovery did
      doctor         Check how a deployment is set up, or why a node of a cluster is down
      dlq            Look at the tasks that failed too often, and try them again
      apply          Store discoveries, and what overrides them for one cluster [alias:
                     import]
      validate       Check files of objects, without any system
      export         Write all stored objects, as a file that apply takes back
      delete         Delete an object: what it was about goes on without it
      refresh        Ask for a refresh of a cluster now
      discover       Ask for a run of a discovery now
      discovery      Try a discovery without storing anything, or confirm what it holds
      forget         Remove a cluster or a node, whatever its source says
      unforget       Take a forgotten cluster or node from its source again
      maintenance    Say that what happens to a cluster for a while is expected
      pause          Leave a cluster, a discovery or everything alone for a while
      resume         End a pause
      capacity       What a fleet needs of AWS, what that costs, and which quota is met first
      restore-check  Raise all epochs after the table was restored, before the functions run
                     again
      fleet          Run the simulated fleet alone, for `up` and for tests of your own
      bench          Measure what this machine does, and what it costs
      completions    Write what a shell needs to complete commands and options
      help           Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help

      -V, --version
              Print version

    First steps:
      replicante demo --for 30s   shows it all on a simulated fleet
      replicante up -f FILE       runs it on this machine, for your own

    Colours are for terminals alone; NO_COLOR turns them off.
    Exit codes: 0 it worked, 1 something failed, 2 wrong usage; status, doctor and
    discovery test also 3 warnings or differences, 4 something is bad.
    ");
}

#[test]
fn the_help_of_demo_up_and_fleet() {
    insta::assert_snapshot!(help(&["demo"]), @"
    Watch it work on a simulated fleet that changes, with nothing installed

    Usage: replicante demo [OPTIONS]

    Options:
          --for <TIME>
              Ends by itself after so long

          --clusters <CLUSTERS>
              Clusters at the start

              [default: 24]

          --nodes <FROM-TO>
              Nodes of each cluster

              [default: 3-7]

          --seed <SEED>
              The same seed gives the same fleet and the same changes

              [default: 1]

          --interval <TIME>
              How often each cluster is refreshed: at least 1s

              [default: 2s]

          --changes <TIME>
              Mean time between two changes of the fleet, or `off`

              [default: 1s]

          --log <FILE>
              Writes the functions' logs to a file; RUST_LOG sets the level

      -h, --help
              Print help

    Examples:
      replicante demo                           until Ctrl-C
      replicante demo --for 30s                 ends by itself, with a summary
      replicante demo --for 30s | tee demo.log  plain lines: one an event
      replicante demo --changes 200ms --seed 7  another fleet, and a wild one

    Exits with 1 when the stream does not fold to the stored views, or lacks an event.
    ");
    insta::assert_snapshot!(help(&["up"]), @"
    Run it on this machine, for your own discoveries

    Usage: replicante up [OPTIONS]

    Options:
      -f, --file <FILE>...
              Objects to apply before it starts: YAML or JSON, `-` for the standard input

          --data <DIR>
              Folder for the table, the history, the log of tasks and the endpoints

              [default: .replicante]

          --tick <TIME>
              How often the schedulers run, from 1s to 5m, and the shortest interval

              [default: 1s]

          --retention <TIME>
              How long the history is kept: 24h to 365d

              [default: 30d]

          --for <TIME>
              Ends by itself after so long, as after Ctrl-C

      -h, --help
              Print help

    Examples:
      replicante fleet                          something to try it on, elsewhere
      replicante up -f examples/discovery.yaml  kept in .replicante
      replicante up -f mine.yaml --data DIR     ... or in another folder
      RUST_LOG=info replicante up 2> up.log     goes on with what was applied before;
      the log has a line for each task

    Exits with 0 after Ctrl-C. What was in flight then is finished, or left for the next
    start.
    ");
    insta::assert_snapshot!(help(&["fleet"]), @r#"
    Run the simulated fleet alone, for `up` and for tests of your own

    Usage: replicante fleet [OPTIONS]

    Options:
          --port <PORT>
              Port on this machine for discovery (and agents); 0 takes any free one

              [default: 7654]

          --clusters <CLUSTERS>
              Clusters at the start

              [default: 24]

          --nodes <FROM-TO>
              Nodes of each cluster

              [default: 3-7]

          --seed <SEED>
              The same seed gives the same fleet and the same changes

              [default: 1]

          --layout <LAYOUT>
              Whether agents share the port or have one each

              Possible values:
              - one-port:  All on one port, by path
              - port-each: Each on a port of its own: one that is gone refuses connections

              [default: one-port]

          --changes <TIME>
              Mean time between two changes, or `off`

              [default: 2s]

          --script <FILE>
              Changes to play instead, as JSON

          --latency <TIME>
              How long each agent waits before it answers

              [default: 0s]

          --for <TIME>
              Ends by itself after so long

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante fleet                          at the port of examples/discovery.yaml
      replicante fleet --changes off --seed 7   another fleet, and nothing changes
      replicante fleet --script history.json    changes of your own, like
        [{"at": "2s", "change": {"change": "agent", "cluster": "zk-01",
          "node": "node-2", "state": "gone"}}]
    "#);
}

#[test]
fn the_help_of_doctor() {
    insta::assert_snapshot!(help(&["doctor"]), @r#"
    Check how a deployment is set up, or why a node of a cluster is down

    Usage: replicante doctor [OPTIONS]
           replicante doctor <COMMAND>

    Commands:
      cluster  Asks each agent of a cluster from here, as a worker does, and compares with
               what is stored
      help     Print this message or the help of the given subcommand(s)

    Options:
      -o, --output <OUTPUT>
              How to show it

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante doctor                    table, queues, stream, clock, functions, settings
      replicante doctor --context prod -o json | jq '.checks[] | select(.verdict != "ok")'
      replicante doctor cluster zk-01      why is a node down? Asks each agent from here

    Each line is ok, warn or bad. It only reads: what the functions' roles allow, and whether
    the queues take messages, is not checked. `status` says whether work is done.
    Exit codes: 0 all is well, 3 warnings, 4 something is bad, 1 it could not be found out.
    "#);
    insta::assert_snapshot!(help(&["doctor", "cluster"]), @r#"
    Asks each agent of a cluster from here, as a worker does, and compares with what is stored

    Usage: replicante doctor cluster [OPTIONS] <NAME>

    Arguments:
      <NAME>
              Its name

    Options:
          --node <NAME>
              Only this node; may be given again

      -n, --namespace <NAME>
              Its namespace

              [default: default]

      -o, --output <OUTPUT>
              How to show it

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante doctor cluster zk-01
      replicante doctor cluster zk-01 --node node-2     one of its nodes
      replicante doctor cluster zk-01 -o json | jq '.nodes[] | select(.verdict != "ok")'

    Agents are asked as the workers do it, but from here: what can be reached may differ,
    and the networks that are allowed are those of this environment. Nothing is stored.
    Exit codes: 0 all is well, 3 warnings, 4 something is bad, 1 it could not be found out.
    "#);
}

#[test]
fn the_help_of_runs() {
    insta::assert_snapshot!(help(&["runs"]), @"
    Show what the last tasks of a cluster or discovery did

    Usage: replicante runs [OPTIONS] [NAME]

    Arguments:
      [NAME]
              The cluster

    Options:
      -d, --discovery <NAME>
              A discovery instead

      -n, --namespace <NAME>
              Its namespace

              [default: default]

          --failed
              Only those that failed

          --since <TIME>
              Only those that began so long ago, or since: 2h, or a time with its offset
              [default: all; on AWS 1h]

      -l, --limit <NUMBER>
              Only the last so many

              [default: 20]

      -o, --output <OUTPUT>
              How to show them

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante runs zk-01                 the last refreshes of a cluster, oldest first
      replicante runs zk-01 --failed        only those that failed, and why
      replicante runs --discovery fleet     the last runs of a discovery
      replicante runs zk-01 -o json | jq '.[] | select(.events > 0)'

    From the log that `up` keeps in its data folder, of 16 MiB at most; on AWS from the
    worker's log, of the last hour unless --since says otherwise.
    ");
}

#[test]
fn the_help_of_context() {
    insta::assert_snapshot!(help(&["context"]), @"
    Name deployments, and choose the one in use

    Usage: replicante context <COMMAND>

    Commands:
      list    Lists them, with the one in use
      use     Uses one from now on, where nothing else is named
      add     Adds one
      remove  Removes one; what it names is left alone
      help    Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help

    Examples:
      replicante context add here --data .replicante
      replicante context add prod --stack replicante --region eu-central-1 --profile ops
      replicante context add lab --stack replicante --region us-east-1 --endpoint
      http://127.0.0.1:4566
      replicante status --context prod         one command on it
      replicante context use prod              ... all that follow, in every shell
      replicante context list

    A command talks to the first of these that there is: --data, --stack or --context;
    REPLICANTE_CONTEXT; REPLICANTE_STACK; a table, stream or endpoint that the environment
    names; the context in use; the folder .replicante; AWS.
    Kept in ~/.config/replicante/config.yaml ($XDG_CONFIG_HOME; on Windows %APPDATA%), or in
    the file that REPLICANTE_CONFIG names. It is written anew: comments in it are not kept.
    ");
    insta::assert_snapshot!(help(&["context", "add"]), @"
    Adds one

    Usage: replicante context add [OPTIONS] <NAME>

    Arguments:
      <NAME>
              Its name

    Options:
          --data <DIR>
              Data folder of `replicante up`

          --stack <NAME>
              CloudFormation stack of a deployment on AWS

          --region <NAME>
              Region of the stack [default: as the environment or the profile says]

          --profile <NAME>
              Profile of AWS whose credentials are used [default: as the environment says]

          --endpoint <URL>
              Where all services listen when they are not AWS's own, as with LocalStack

          --replace
              Takes the place of the one of this name

      -h, --help
              Print help
    ");
}

#[test]
fn the_help_of_get() {
    insta::assert_snapshot!(help(&["get"]), @r#"
    Show what is known now: clusters, one cluster, discoveries

    Usage: replicante get <COMMAND>

    Commands:
      clusters     The list of clusters
      cluster      One cluster
      nodes        The nodes of all clusters
      shards       The shards of all clusters, and who leads them
      actions      The actions of all agents
      discoveries  The list of discoveries
      discovery    One discovery
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help

    Examples:
      replicante get clusters                  all clusters, with their health
      replicante get clusters -w --health degraded,down --sort health
      replicante get nodes 'zk-*' --status agent-down
      replicante get nodes -l rack=r1          by a label of the source, or an attribute
      replicante get clusters -o json | jq -r '.[] | select(.health != "healthy") | .id'
      replicante get cluster zk-01             one cluster: its nodes, its shards, who leads
      them
      replicante get discoveries               the sources, and whether they answer

    What is shown is what was last observed: check that the world still matches before you act
    on it.
    "#);
    insta::assert_snapshot!(help(&["get", "clusters"]), @"
    The list of clusters

    Usage: replicante get clusters [OPTIONS] [NAME]...

    Arguments:
      [NAME]...
              Only those of these names, of clusters or discoveries: * stands for any text, ?
              for any character

    Options:
          --health <HEALTH>
              Only those of this health; may be given again

              Possible values:
              - healthy:  All nodes are up
              - degraded: Some nodes are not
              - down:     No node is
              - unknown:  No agent answers
              - new:      Never refreshed

          --kind <KIND>
              Only those with nodes of this kind, in any case: kafka

      -l, --attribute <NAME=VALUE>
              Only nodes with this label of their source or attribute of their agent, and what
              they have or belong to: rack=r1; may be given again, and all must fit

          --sort <SORT>
              What comes first

              Possible values:
              - name:      By namespace and name
              - health:    The worst first
              - nodes:     The largest first
              - refreshed: The one that was not refreshed for longest first

              [default: name]

      -n, --namespace <NAME>
              Only those of this namespace [default: all]

      -o, --output <OUTPUT>
              How to show it

              Possible values:
              - table: For people, cut to the terminal
              - wide:  For people, all columns, not cut
              - json:  For programs
              - yaml:  For programs and people

              [default: table]

      -w, --watch
              Shows it again and again, until Ctrl-C

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')
    ");
    insta::assert_snapshot!(help(&["get", "cluster"]), @"
    One cluster

    Usage: replicante get cluster [OPTIONS] <NAME>

    Arguments:
      <NAME>
              Its name

    Options:
          --events <NUMBER>
              How many of its last events are shown, of the last hour

              [default: 5]

      -n, --namespace <NAME>
              Its namespace

              [default: default]

      -o, --output <OUTPUT>
              How to show it

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante get cluster zk-01
      replicante get cluster zk-01 --events 20   with more of what changed
      replicante get cluster zk-01 --events 0    without: the stream is not read
      replicante get cluster zk-01 -o json       everything that is stored

    Events are those of the last hour, from the cluster's shard of the stream, as far as it is
    read in 2 seconds.
    What is shown is what was last observed: check that the world still matches before you act
    on it.
    ");
}

#[test]
fn the_help_of_events_and_apply() {
    insta::assert_snapshot!(help(&["events"]), @"
    Show what changed, and when

    Usage: replicante events [OPTIONS]

    Options:
      -c, --cluster <NAME>
              Only those of this cluster

      -d, --discovery <NAME>
              Only those of this discovery

      -n, --namespace <NAME>
              Only those of this namespace [default: all; of the named cluster or discovery:
              default]

          --since <TIME>
              Only those that were observed so long ago, or since: 2h, or a time with its
              offset

              [alias: --from]

          --to <TIME>
              Only those that were observed by then

      -t, --type <TYPE>
              Only those of this type: `agent.down`, or of a group: `agent.*`, `*.down`; may
              be given again

      -f, --follow
              Goes on with those to come, until Ctrl-C

      -o, --output <OUTPUT>
              How to show them

              Possible values:
              - table:       For people: time, cluster, type, what changed
              - json:        For programs: the events as they were published, one a line
              - cloudevents: The same: each is a CloudEvent 1.0

              [default: table]

          --relative
              Says how long ago instead of when

      -l, --limit <NUMBER>
              Only the last so many

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante events --cluster zk-01 --since 2h           what changed in a cluster, in
      order
      replicante events --type agent.down --type node.down   only what went down
      replicante events --from 2026-11-23T08:00:00Z --to 1h  what changed between two moments
      replicante events --follow --limit 10                  the last ten, then those to come
      replicante events --relative --since 10m               how long ago instead of when
      replicante events -o cloudevents --follow              CloudEvents 1.0, one a line
      replicante events -o json | jq -r .type | sort | uniq -c

    Times are UTC. Copies are dropped, and the order of each cluster is kept.
    Gaps are told on the standard error output.
    ");
    insta::assert_snapshot!(help(&["apply"]), @"
    Store discoveries, and what overrides them for one cluster

    Usage: replicante apply [OPTIONS] --file <FILE>...

    Options:
      -f, --file <FILE>...
              Objects: YAML or JSON, several documents a file; `-` for the standard input

          --dry-run
              Says what would change, and stores nothing

          --actor <NAME>
              Who applies: events say so [default: the user]

              [env: REPLICANTE_ACTOR]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help

    Examples:
      replicante apply -f discovery.yaml            a Discovery, or a Cluster that overrides
      what its discovery says
      replicante apply -f discoveries/*.yaml        checked first: one error, and no file is
      applied
      replicante apply --dry-run -f discovery.yaml  only checks, and says what would change
      generate | replicante apply -f -              from the standard input

    Objects are stored in steps of 33, each as a whole: where one fails, those before it are
    applied.
    Events tell who applied what, from before to after.
    Intervals are checked against the tick of the deployment (REPLICANTE_TICK, else 60s).
    ");
}

#[test]
fn the_help_of_refresh_and_bench() {
    insta::assert_snapshot!(help(&["refresh"]), @"
    Ask for a refresh of a cluster now

    Usage: replicante refresh [OPTIONS] <NAME>

    Arguments:
      <NAME>
              Its name

    Options:
      -n, --namespace <NAME>
              Its namespace

              [default: default]

      -w, --wait
              Waits until it is done, and says how it ended

          --timeout <TIME>
              How long it waits at most

              [default: 1m]

      -o, --output <OUTPUT>
              How to show what came of it

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

          --actor <NAME>
              Who asks: events say so [default: the user]

              [env: REPLICANTE_ACTOR]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante refresh zk-01
      replicante refresh zk-01 --wait                until it is done, and how it ended
      replicante refresh zk-01 --wait --timeout 10s && echo done

    What is waited for is a refresh that began after this was asked.
    With --wait exit code 1 also says that it failed, or did not end in time.
    ");
    insta::assert_snapshot!(help(&["bench", "hanging"]), @"
    Agents that hang: how late they make the clusters that are well

    Usage: replicante bench hanging [OPTIONS]

    Options:
          --clusters <COUNT>
              Clusters, of 5 nodes each

              [default: 400]

          --invocations <COUNT>
              Invocations of the refresh worker that may run at the same time: 20 are the
              template's default

              [default: 20]

          --back-off <TIME>
              The longest time between two polls of a hanging agent; 0s asks every time

              [default: 1m]

          --interval <TIME>
              How often each cluster is refreshed; timeouts are in proportion: those of 60s
              are the defaults

              [default: 6s]

          --spread
              One agent of each cluster hangs, not all of each fifth: no cluster is well then,
              and all are measured

      -o, --output <OUTPUT>
              How to show the figures

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

      -h, --help
              Print help (see a summary with '-h')

    Time is ten times as fast as by default: clusters are refreshed every 6 s instead of
    60 s, agents have 1 s instead of 10 s, and the longest back-off is 1m instead of 10m.
    It takes two minutes.

    Examples:
      replicante bench hanging                all agents of each fifth cluster hang
      replicante bench hanging --back-off 0s  ... and are asked every time
      replicante bench hanging --spread       one agent of each cluster hangs
    ");
    insta::assert_snapshot!(help(&["bench", "refresh"]), @"
    Refreshes: how many a second, how long one takes, what one costs

    Usage: replicante bench refresh [OPTIONS]

    Options:
          --for <TIME>
              How long each measurement lasts

              [default: 10s]

      -o, --output <OUTPUT>
              How to show the figures

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

      -h, --help
              Print help (see a summary with '-h')
    ");
}

#[test]
fn the_help_of_at_diff_status_and_dlq() {
    insta::assert_snapshot!(help(&["at"]), @"
    Show a cluster as it was at a moment of the past

    Usage: replicante at [OPTIONS] --time <TIME> <CLUSTER>

    Arguments:
      <CLUSTER>
              The cluster's name

    Options:
      -n, --namespace <NAME>
              Its namespace

              [default: default]

      -t, --time <TIME>
              When: how long ago (2h), or a time with its offset (2026-11-23T08:30:00Z)

      -o, --output <OUTPUT>
              How to show it

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante at zk-01 --time 2h
      replicante at zk-01 --time 2026-11-23T08:30:00Z -o json

    The view is folded from the events of the stream, as far back as it is kept.
    How far replicas were behind is not in the events, and not shown.
    ");
    insta::assert_snapshot!(help(&["diff"]), @"
    Show what is different in a cluster between two moments

    Usage: replicante diff [OPTIONS] --from <TIME> <CLUSTER>

    Arguments:
      <CLUSTER>
              The cluster's name

    Options:
      -n, --namespace <NAME>
              Its namespace

              [default: default]

          --from <TIME>
              The earlier moment: how long ago (2h), or a time with its offset
              (2026-11-23T08:30:00Z)

          --to <TIME>
              The later moment

              [default: now]

      -o, --output <OUTPUT>
              How to show it

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante diff zk-01 --from 1d             what is different from yesterday
      replicante diff zk-01 --from 2h --to 1h

    What changed and changed back in between is not shown: `events` shows it.
    ");
    insta::assert_snapshot!(help(&["status"]), @"
    Say whether Replicante itself is well, and what to do where it is not

    Usage: replicante status [OPTIONS]

    Options:
      -o, --output <OUTPUT>
              How to show it

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  The same as YAML

              [default: table]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante status                        what is not well, worst first, and what to do
      replicante status -o json | jq .findings

    It is about Replicante itself: a cluster that is down, and seen to be, is no finding.
    Exit codes: 0 all is well, 3 there are warnings, 4 something is critical, 1 it could not
    be found out.
    ");
    insta::assert_snapshot!(help(&["dlq"]), @"
    Look at the tasks that failed too often, and try them again

    Usage: replicante dlq <COMMAND>

    Commands:
      list     Lists them
      show     Shows one: the whole message, and what became of its record
      redrive  Puts them back into their queue
      purge    Deletes them all
      help     Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help

    Examples:
      replicante dlq list                    what failed too often
      replicante dlq show 5fd1b2             the whole message, and what became of its record
      replicante dlq redrive                 tries it all again
      replicante dlq redrive --id 5fd1b2     ... one of them
      replicante dlq purge --queue refresh   forgets it: the schedule goes on all the same

    A task names a record, nothing more: whatever is tried again works on the record as it is
    then.
    ");
    insta::assert_snapshot!(help(&["dlq", "redrive"]), @"
    Puts them back into their queue

    Usage: replicante dlq redrive [OPTIONS]

    Options:
          --id <ID>
              Only the one of this id, or of ids that begin so; may be given again

          --queue <NAME>
              Only those of this queue [default: both]

              Possible values:
              - refresh:   Refreshes of clusters
              - discovery: Runs of discoveries

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')
    ");
}

#[test]
fn the_help_of_capacity_and_restore_check() {
    insta::assert_snapshot!(help(&["capacity"]), @"
    What a fleet needs of AWS, what that costs, and which quota is met first

    Usage: replicante capacity [OPTIONS] --clusters <NUMBER> --nodes <NUMBER> --interval <TIME>

    Options:
          --clusters <NUMBER>
              Clusters

          --nodes <NUMBER>
              Nodes of each cluster

          --interval <TIME>
              How often each is refreshed: 60s to 24h

          --batch <NUMBER>
              Tasks of one invocation: 10 when there is a backlog, or a batching window; 1 at
              the worst

              [default: 10]

          --changes <PER_HOUR>
              Changes of each cluster in an hour

              [default: 1]

          --latency <TIME>
              How long an agent takes for an answer

              [default: 20ms]

          --prices <FILE>
              Prices in place of those of us-east-1: a JSON file

      -o, --output <OUTPUT>
              How to show it

              Possible values:
              - table:    For people
              - markdown: For documents: a line a fleet
              - json:     For programs
              - yaml:     The same as YAML

              [default: table]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante capacity --clusters 1000 --nodes 5 --interval 60s
      replicante capacity --clusters 100,10000 --nodes 5 --interval 60s --batch 1,10
      replicante capacity --clusters 1000 --nodes 5 --interval 60s --prices eu.json

    One fleet is shown item by item, several a line each; prices may be another region's.
    A file of prices holds an object with some or all of the fields that `-o json`
    shows. docs/cost.md says where the figures are from, and what is left out.
    ");
    insta::assert_snapshot!(help(&["restore-check"]), @"
    Raise all epochs after the table was restored, before the functions run again

    Usage: replicante restore-check [OPTIONS] --restored-to <TIME>

    Options:
          --restored-to <TIME>
              The point in time that the table was restored to, or when its backup was made

          --dry-run
              Says what is to be done, and changes nothing

          --again <REASON>
              Does it although it was done for this restore, and why: every time is a restart
              for all readers

          --actor <NAME>
              Who asks: events say so [default: the user]

              [env: REPLICANTE_ACTOR]

      -y, --yes
              Does not ask

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help

    Examples:
      replicante restore-check --restored-to 2026-01-02T03:04:05Z --dry-run   looks
      replicante restore-check --restored-to 2026-01-02T03:04:05Z             does it

    Required after every restore, before the functions run on the restored table: without
    it events get numbers that the stream has already. Every record begins a new epoch:
    readers start anew, each cluster with a snapshot of what was restored. It can be
    stopped and run again. docs/restore.md says it step by step.
    ");
}

#[test]
fn the_help_of_validate_export_and_delete() {
    insta::assert_snapshot!(help(&["validate"]), @"
    Check files of objects, without any system

    Usage: replicante validate [OPTIONS] --file <FILE>...

    Options:
      -f, --file <FILE>...
              Objects: YAML or JSON, several documents a file; `-` for the standard input

          --tick <TIME>
              The tick of the deployment that they are for: no interval is shorter

              [env: REPLICANTE_TICK]
              [default: 1m]

      -h, --help
              Print help

    Examples:
      replicante validate -f discovery.yaml            for a deployment on AWS
      replicante validate -f objects/*.yaml --tick 1s  for `replicante up`: intervals may be
      shorter

    Whether a source answers is not tried: `replicante discovery test` does that.
    Exit codes: 0 all is right, 1 something is wrong.
    ");
    insta::assert_snapshot!(help(&["export"]), @"
    Write all stored objects, as a file that apply takes back

    Usage: replicante export [OPTIONS]

    Options:
      -n, --namespace <NAME>
              Only those of this namespace [default: all]

      -o, --output <OUTPUT>
              How to write them

              Possible values:
              - yaml: Documents of YAML
              - json: Documents of JSON

              [default: yaml]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      replicante export > objects.yaml           and `replicante apply -f objects.yaml`
      changes nothing
      replicante export -n prod                  of one namespace
      replicante export -o json | jq .metadata   one document after the other

    All settings are written out, also those that were left at their default. There are no
    secrets in it: objects hold references. State, history, and what is forgotten or paused
    are no objects: a backup of the table has them.
    ");
    insta::assert_snapshot!(help(&["delete"]), @"
    Delete an object: what it was about goes on without it

    Usage: replicante delete <COMMAND>

    Commands:
      discovery  A Discovery: its source is asked no more
      cluster    A Cluster object: what its discovery says of the cluster counts again
      help       Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help

    Examples:
      replicante delete discovery fleet        asks first; its clusters stay
      replicante delete cluster orders --yes   what its discovery says of orders counts again

    Objects are what was applied. To remove a cluster itself: `replicante forget`.
    ");
    insta::assert_snapshot!(help(&["delete", "discovery"]), @"
    A Discovery: its source is asked no more

    Usage: replicante delete discovery [OPTIONS] <NAME>

    Arguments:
      <NAME>
              Its name

    Options:
      -n, --namespace <NAME>
              Its namespace

              [default: default]

      -y, --yes
              Does not ask

          --actor <NAME>
              Who deletes: events say so [default: the user]

              [env: REPLICANTE_ACTOR]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help

    Examples:
      replicante export -n default > objects.yaml   keeps what was applied
      replicante delete discovery fleet

    The clusters that it discovered stay, and are refreshed as it said last, until each is
    forgotten (`replicante forget`). Another discovery may not take them before that.
    Applied again, it goes on where it was.
    ");
}

#[test]
fn the_help_of_maintenance_pause_and_resume() {
    insta::assert_snapshot!(help(&["maintenance"]), @"
    Say that what happens to a cluster for a while is expected

    Usage: replicante maintenance <COMMAND>

    Commands:
      begin  Begin a window, or say that it is another than was said
      end    End a window before its time
      help   Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help

    Examples:
      replicante maintenance begin orders --until 2h --reason 'new racks'
      replicante maintenance end orders

    Nothing is hidden, and the cluster is refreshed as ever. Each event that is observed
    within the window carries its end as `maintenance`: whoever is woken by events may leave
    those out. To have it left alone: `replicante pause`.
    ");
    insta::assert_snapshot!(help(&["maintenance", "begin"]), @"
    Begin a window, or say that it is another than was said

    Usage: replicante maintenance begin [OPTIONS] --until <TIME> <CLUSTER>

    Arguments:
      <CLUSTER>
              The cluster

    Options:
      -n, --namespace <NAME>
              Its namespace

              [default: default]

          --actor <NAME>
              Who says so: events tell [default: the user]

              [env: REPLICANTE_ACTOR]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

          --until <TIME>
              When it ends by itself: a duration from now, or a time like 2026-01-02T03:04:05Z

          --reason <TEXT>
              What is done: at most 200 characters

      -h, --help
              Print help

    Examples:
      replicante maintenance begin orders --until 2h
      replicante maintenance begin orders --until 3h --reason 'it takes longer'
    ");
    insta::assert_snapshot!(help(&["pause"]), @"
    Leave a cluster, a discovery or everything alone for a while

    Usage: replicante pause <COMMAND>

    Commands:
      cluster    The refreshes of a cluster
      discovery  The runs of a discovery
      all        All refreshes and all runs
      help       Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help

    Examples:
      replicante pause cluster orders --until 2h --reason 'new racks'
      replicante pause discovery fleet             its runs; its clusters are refreshed on
      replicante pause all --until 30m

    No scheduler sends tasks for what is paused. Those that were sent already still run, two
    ticks later at most; `refresh` and `discover` work all the same; what is owed to the
    stream is delivered. After the pause each goes on in its next slot. A second pause takes
    the place of the first.
    ");
    insta::assert_snapshot!(help(&["pause", "cluster"]), @"
    The refreshes of a cluster

    Usage: replicante pause cluster [OPTIONS] <NAME>

    Arguments:
      <NAME>
              Its name

    Options:
      -n, --namespace <NAME>
              Its namespace

              [default: default]

          --until <TIME>
              When it ends by itself: a duration from now, or a time like 2026-01-02T03:04:05Z
              [default: with `resume`]

          --reason <TEXT>
              Why: at most 200 characters

          --actor <NAME>
              Who pauses [default: the user]

              [env: REPLICANTE_ACTOR]

          --data <DIR>
              Data folder of a running `replicante up` [default: the environment, else
              .replicante]

          --stack <NAME>
              CloudFormation stack of a deployment on AWS, whose outputs name its table,
              stream and queues [default: REPLICANTE_STACK, else the environment]

          --context <NAME>
              One of the deployments that `replicante context` names [default:
              REPLICANTE_CONTEXT, else the environment, else the one in use]

      -h, --help
              Print help

    Example:
      replicante pause cluster orders --until 2h
    ");
    insta::assert_snapshot!(help(&["resume"]), @"
    End a pause

    Usage: replicante resume <COMMAND>

    Commands:
      cluster    The refreshes of a cluster
      discovery  The runs of a discovery
      all        All refreshes and all runs
      help       Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help

    Examples:
      replicante resume cluster orders
      replicante resume all             what is paused by its own name stays so
    ");
}
