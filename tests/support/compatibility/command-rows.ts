import { shown } from "./files.ts";
import { type CompatibilitySection, changed, kept, kubernetes, ownWords } from "./row.ts";

const refusedBy1 = "exits with 1, where the original exits with 0";

/** Commands, their arguments and options. Each option of the original has a row of the form `COMMAND --OPTION`. */
export const commandSections: readonly CompatibilitySection[] = [
  {
    title: "The command line as a whole",
    rows: [
      kept(
        "executables `bodywork` and `bw`",
        shown.package("`%s version` of the installed package prints the package's version"),
      ),
      kept(
        "wrong usage exits with 2 and says on standard error: usage, where help is, `Error: …`",
        shown.readCommandLine("wrong usage exits with 2 and says on standard error what is wrong"),
      ),
      kept(
        "`Missing argument 'GIT_URL'.`",
        shown.readCommandLine("wrong usage exits with 2 and says on standard error what is wrong"),
      ),
      kept("`Missing option '--schedule'.`", shown.cronjob("with %s is wrong usage")),
      kept(
        "`No such command 'foo'.`",
        shown.readCommandLine("wrong usage exits with 2 and says on standard error what is wrong"),
        "and the nearest that there is",
      ),
      kept(
        "`No such option: --foo`",
        shown.readCommandLine("wrong usage exits with 2 and says on standard error what is wrong"),
        "and the nearest that there is",
      ),
      kept(
        "`Got unexpected extra argument (C=d)`",
        shown.readCommandLine("wrong usage exits with 2 and says on standard error what is wrong"),
      ),
      kept(
        "`Invalid value for '--retries': 'a' is not a valid integer.`",
        shown.readCommandLine("wrong usage exits with 2 and says on standard error what is wrong"),
      ),
      kept(
        "`Missing command.` and 2 without a command, also after `create`",
        shown.readCommandLine("wrong usage exits with 2 and says on standard error what is wrong"),
      ),
      kept("`--help` of everything exits with 0", shown.readCommandLine("bodywork %s --help")),
      kept(
        "`--opt value` and `--opt=value`, before and after the arguments",
        shown.readCommandLine("means the same with its options before and after the arguments: %s"),
      ),
      kept(
        "an empty option counts as not given",
        shown.deploy("asks for what was typed; an empty option means none"),
      ),
      kept(
        "no short forms of options",
        shown.readCommandLine("wrong usage exits with 2 and says on standard error what is wrong"),
        "but `-h`",
      ),
      kept(
        "`stage` and `debug` are in no help and work",
        shown.readCommandLine("of the tool lists every command but the hidden ones"),
      ),
      kept(
        "`get deployment(s)`, `get cronjob(s)`, `get secret(s)`",
        shown.readCommandLine("may say the plural: %s, %s"),
        "and the plural of every other verb",
      ),
      changed(
        "`--install-completion`, `--show-completion`",
        "`bodywork completion bash` prints the script; zsh, fish and powershell too",
        shown.completion("completes both names of the tool by asking it: %s"),
      ),
      changed(
        "results and everything else go to standard output",
        "results and pinned strings do; progress and notices go to standard error",
        shown.deploy("exits with 0 and shows its logs, a summary and its URLs on standard output"),
      ),
      changed(
        "output is wrapped at 175 columns, cells are cut with `…`",
        "nothing is wrapped or cut where no terminal is",
        shown.output("is never wrapped or cut, on a narrow terminal neither"),
      ),
      changed(
        "`[x]` in logs and tables is taken for markup",
        "it is shown as it is",
        shown.validate("nothing is wrapped, and square brackets stay"),
      ),
      changed(
        "refusals and errors of the API exit with 0",
        "they exit with 1 and say the true cause",
        shown.deploy("exits with 1 when it is refused, in the same form"),
      ),
      changed(
        "without credentials of a cluster every command exits with 0",
        "no engine that may be used: 1",
        shown.deploy("exits with 1 before anything when no engine may be chosen"),
      ),
      kubernetes("`Kubernetes API error returned`"),
      kubernetes("`Failed to connect to the Kubernetes API`"),
      kubernetes("`Cannot load authentication credentials from kubeconfig`"),
      kubernetes(
        "`Could not find namespace=bodywork-deployment-jobs on k8s cluster.`",
        "this machine's engine has no such namespace that could be missing",
      ),
    ],
  },
  {
    title: "Forms that only the original's documents have",
    rows: [
      kept("`bodywork --version`", shown.smallCommands("%s prints the version alone")),
      kept("`delete deployments`", shown.readCommandLine("may say the plural: %s, %s")),
      kept(
        "`delete deployment NAME SERVICE`",
        shown.removedServices(
          "one service is deleted with its route, and comes back with the next deployment",
        ),
      ),
      kept("`create cronjob --ssh-key-path PATH`", shown.cronjob("reads the key of %s and has it kept")),
      kept("several pairs after one `--data`", shown.spread("the words of a command with %s")),
      kept(
        "a service's name with underscores",
        shown.getDeployment("takes the name of the file and that of the URL: %s"),
      ),
    ],
  },
  {
    title: "validate, version, configure-cluster, stage, debug",
    rows: [
      kept(
        "`validate --file`",
        shown.validate("--file is relative to the working folder and shown as given"),
      ),
      kept(
        "`validate --check-files`",
        shown.validate("--check-files looks for modules beside the file, and --no-check-files does not"),
      ),
      kept(
        "`validate --no-check-files`",
        shown.validate("--check-files looks for modules beside the file, and --no-check-files does not"),
      ),
      kept(
        "`validate` of a valid file: `--> PATH is a valid …`, 0",
        shown.validate("a valid file gets the original's line and 0"),
      ),
      kept("`No config file found`, 1", shown.validate("a file that is not there is said to be missing")),
      kept("`Cannot parse YAML`, 1", shown.validate("what is wrong with a file as a whole is one line")),
      kept(
        "`missing sections: version, pipeline, stages, logging`, 1",
        shown.project("the four sections are looked for at once, in their order, before anything else"),
      ),
      kept(
        "`Missing or invalid parameters`, a line `* …` for each error, sorted, 1",
        shown.validate("errors are listed in the original's form, sorted, each with its place"),
        "each with its place in the file",
      ),
      kept("`* stages._`", shown.project("stages: %s holds no stages")),
      changed(
        "a stack trace for many malformed files",
        "every problem, at once",
        shown.project("the sections that are no mappings are reported as such"),
      ),
      kept("`version` prints the version alone", shown.smallCommands("%s prints the version alone")),
      ownWords(
        "`configure-cluster`",
        "makes the home folder and its server ready, and says that there is no more to do",
        shown.configureCluster(
          "configure-cluster makes the home folder and its server ready, and says that there is no more to do",
          "configure-cluster may be repeated: what runs is left as it is",
        ),
      ),
      kubernetes("`Creating namespace=NS`, `namespace=NS already exists`"),
      kubernetes("`Creating service-account=…`, `service-account=… already exists`"),
      kubernetes("`Creating cluster-role-binding=NAME`"),
      kubernetes(
        "`Could not find namespace=NS on k8s cluster`, `Missing service-account=…`, `Missing cluster-role-binding=…`",
      ),
      kept(
        "`stage GIT_URL STAGE_NAME [TIMEOUT]` (hidden)",
        shown.stage(
          "stage hands on what was asked, and this shell's ssh key",
          "stage takes a number of seconds, as the original",
        ),
      ),
      kept("`stage --branch`", shown.stage("stage hands on what was asked, and this shell's ssh key")),
      kept(
        "`debug [SECONDS]` (hidden): `sleeping for Ns`, 600 if left out",
        shown.smallCommands(
          "says how long it sleeps, and sleeps",
          "sleeps ten minutes when it is told nothing",
        ),
      ),
    ],
  },
  {
    title: "create, update, get and delete deployment",
    rows: [
      kept(
        "`create deployment --branch`",
        shown.deploy("asks for what was typed; an empty option means none"),
      ),
      kept(
        "`create deployment --ssh`",
        shown.deploy("is the text of the file, which is kept for later runs"),
      ),
      kept(
        "`create deployment --group`",
        shown.sshKey(
          "a key is kept in the group that is asked for, and found there by whoever asks for that group",
        ),
        "holds for the whole deployment; the original ignores it without `--async`",
      ),
      kept(
        "`create deployment --secrets-group`",
        shown.deploy("asks for what was typed; an empty option means none"),
      ),
      kept(
        "`create deployment --retries`",
        shown.deploy(
          "says that %s is inactive, and takes it",
          "takes the number of retries, and says nothing of it; the server makes up a name",
        ),
        "says that it is inactive without `--async`, as the original",
      ),
      kept(
        "`create deployment --async`",
        shown.deploy("leaves a job to the server, with the key, and returns with its name"),
      ),
      kept(
        "`create deployment --async-job-name`",
        shown.deploy("leaves a job to the server, with the key, and returns with its name"),
      ),
      ownWords(
        "`create deployment --bodywork-image`",
        "its form is checked; no image runs on this machine, and it says so",
        shown.deploy(
          "says that %s is inactive, and takes it",
          "that can't be one is refused before anything is asked for",
        ),
      ),
      kept(
        "`update deployment --branch`",
        shown.original("1: create, update, get and delete a deployment from end to end"),
      ),
      kept(
        "`update deployment --ssh`",
        shown.updateDeployment("update deployment takes the options of create: branch, key, job and retries"),
      ),
      kept(
        "`update deployment --retries`",
        shown.updateDeployment("update deployment takes the options of create: branch, key, job and retries"),
      ),
      kept(
        "`update deployment --async`",
        shown.updateDeployment("update deployment takes the options of create: branch, key, job and retries"),
      ),
      kept(
        "`update deployment --async-job-name`",
        shown.updateDeployment("update deployment takes the options of create: branch, key, job and retries"),
      ),
      ownWords(
        "`update deployment --bodywork-image`",
        "as of `create`",
        shown.original("1: create, update, get and delete a deployment from end to end"),
      ),
      kept(
        "`update deployment` of what is not there deploys it",
        shown.deploy("says so when there was nothing to update, and deploys all the same"),
        "and says so",
      ),
      kept(
        "`deploying BRANCH branch from URL` between `=`; `default` without `--branch`",
        shown.deploy(
          "names the branch in its first line, and no password of the URL",
          "has lines of = as wide as the terminal, and never cuts their title",
        ),
      ),
      kept(
        "a deployment that fails exits with 1",
        shown.deploy("exits with 1 and says why at the end, with the details and what to do"),
      ),
      kept(
        "Ctrl-C exits with 1",
        shown.failures(
          "Ctrl-C cancels: the stage ends, the services stay as they were, and the exit code is not 0",
        ),
        "and puts back what was changed, at any moment",
      ),
      kept("`Created workflow-job=async-workflow-NAME`, 0", shown.original("9: an asynchronous deployment")),
      changed(
        "`Cannot create workflow-job=NAME as it already exists`, 0",
        refusedBy1,
        shown.deploy("exits with 1 when there is a job of that name already, and says so on standard output"),
      ),
      kept(
        "`get deployment --namespace`",
        shown.getDeployment("asks for the name and the namespace that were given"),
      ),
      kept(
        "`get deployment --async`",
        shown.getDeployment("shows the history of jobs, a table each, with the original's fields first"),
      ),
      kept(
        "`get deployment --logs`",
        shown.getDeployment(
          "prints the log of a job between two rules, all of it on standard output",
          "says that --logs is for jobs, and goes on, as the original ignores it",
        ),
      ),
      kept(
        "`operational services`, a row `NAME/SERVICE` with the repository's URL",
        shown.getDeployment("lists every service with its deployment, repository, release, state and URL"),
        "and more columns",
      ),
      kept(
        "`get deployment NAME SERVICE`: name, namespace, service_exposed, service_url, service_port, available_replicas, unavailable_replicas, git_url, git_branch, git_commit_hash, has_ingress, ingress_route",
        shown.getDeployment("has the original's fields under their names and in their order, then ours"),
        "a key and its value are on one line",
      ),
      kept(
        "`Could not find service=SVC.`, 0",
        shown.getDeployment("says with 0 that there is no such service"),
      ),
      kept("`No deployments found`, 0", shown.getDeployment("says with 0 that there is none: %s")),
      kept(
        "`run ID = JOB` above start_time, completion_time, active, succeeded, failed",
        shown.getDeployment("shows the history of jobs, a table each, with the original's fields first"),
      ),
      ownWords(
        "`Cannot find k8s pod for run ID = JOB`",
        "`Cannot find run ID = JOB`, and why; 1",
        shown.getDeployment("says with 1 that there is no such run, and why"),
      ),
      ownWords(
        "`deployment=NAME could not be found on k8s cluster`, 0",
        "`deployment=NAME could not be found`, 0",
        shown.deleteDeployment("says with 0 that there is none of that name"),
      ),
      kept("`deployment=NAME deleted.`, 0", shown.deleteDeployment("deletes and says so on standard output")),
      kept(
        "`delete deployment --async`: `Deleted workflow-job=NAME`",
        shown.deleteDeployment("deletes the job and says so in the original's words"),
      ),
      kept(
        "`Could not find workflow-job=NAME`, 0",
        shown.deleteDeployment("says with 0 that there is none of that name"),
      ),
      kept(
        "`Deleted service=S`, `Could not find service=S`",
        shown.deleteDeployment(
          "deletes that service alone, and says that it comes back",
          "says with 0 that there is none, and which there are",
        ),
      ),
      ownWords(
        "`Stopped exposing service at URL`, `Deleted ingress to service at /NS/S`",
        "the route goes with the service; `Deleted service=S` says it all",
        shown.removedServices(
          "one service is deleted with its route, and comes back with the next deployment",
        ),
      ),
      changed(
        "deleting asks nobody",
        "it asks on a terminal unless `--yes`; never in a script",
        shown.deleteDeployment("asks on a terminal, and goes on with %j", "asks nothing with --yes"),
      ),
    ],
  },
  {
    title: "create, update, get and delete cronjob",
    rows: [
      kept("`create cronjob --name` (required)", shown.cronjob("with %s is wrong usage")),
      kept("`create cronjob --schedule` (required)", shown.cronjob("with %s is wrong usage")),
      changed(
        "`create cronjob --branch`, `master` if left out",
        "the repository's default branch if left out",
        shown.cronjob(
          "takes every option, before and after the URL",
          "takes an empty option for one that was not given, as in the original",
        ),
      ),
      kept(
        "`create cronjob --retries`",
        shown.cronjob("takes every option, before and after the URL"),
        "further runs of the whole deployment",
      ),
      kept(
        "`create cronjob --history-limit`",
        shown.jobs(
          "of a cronjob's jobs the newest succeeded and the newest failed keep their runs and logs; all stay in the history",
        ),
      ),
      kept("`create cronjob --ssh`", shown.cronjob("reads the key of %s and has it kept")),
      kept("`create cronjob --group`", shown.cronActions("is kept in the group, where later runs find it")),
      kept("`create cronjob --secrets-group`", shown.cronjob("takes every option, before and after the URL")),
      kept("`update cronjob --name` (required)", shown.cronjob("without a name is wrong usage")),
      kept(
        "`update cronjob --schedule`",
        shown.cronjob(
          "changes what is given and leaves the rest",
          "needs no schedule, and keeps the branch and the group",
        ),
        "not required any more",
      ),
      kept("`update cronjob --branch`", shown.original("7: create, update, get and delete a cronjob")),
      kept(
        "`update cronjob --retries`",
        shown.cronjob("changes what is given and leaves the rest"),
        "the original ignores it without `--branch`",
      ),
      kept("`update cronjob --history-limit`", shown.cronjob("changes what is given and leaves the rest")),
      kept(
        "`get cronjob --history`",
        shown.cronjob(
          "shows the history: a table for each job that has runs, and what became of each due time",
        ),
      ),
      kept("`get cronjob --no-history`", shown.cronjob("shows one, the original's fields first")),
      kept(
        "`get cronjob --logs`",
        shown.cronjob("shows the log of a job, whatever NAME is"),
        "also without NAME, where the original lists the cronjobs",
      ),
      kept(
        "`--history` with `--logs`: a warning, 1",
        shown.cronjob("warns that --history and --logs exclude each other, once, with 1"),
      ),
      kept(
        "`Created cronjob=NAME`, `Updated cronjob=NAME`, `Deleted cronjob=NAME`, 0",
        shown.original("7: create, update, get and delete a cronjob"),
      ),
      changed(
        "`Cannot create cronjob=NAME as it already exists`, 0",
        refusedBy1,
        shown.cronjob("refuses what the server refuses with 1, and what to do about it below"),
      ),
      changed(
        "`Invalid cronjob schedule: SCHEDULE`, 0",
        refusedBy1,
        shown.cronjob("refuses what the server refuses with 1, and what to do about it below"),
      ),
      changed(
        "`Could not find cronjob=NAME` of update, 0; of get, a message on credentials",
        refusedBy1,
        shown.cronjob(
          "of one that is not there is refused with 1",
          "of one that is not there %s is refused with 1",
        ),
      ),
      kept(
        "`Could not find cronjob=NAME` of delete, 0",
        shown.cronjob("says with 0 that there is none of that name"),
      ),
      kept(
        "a key with `--ssh` needs a group",
        shown.cronActions("is not taken without a group, and nothing is kept"),
      ),
      kept(
        "a table `cronjobs` with name and repository; empty, and 0, when there is none",
        shown.cronjob("lists all of them", "with none is an empty list and 0: %s"),
      ),
      kept(
        "`get cronjob NAME`: schedule, last_scheduled_time, retries, git_url, git_branch",
        shown.cronjob("shows one, the original's fields first"),
      ),
      kept(
        "a cronjob's name is sanitised",
        shown.cronActions("makes a name that Kubernetes takes, and finds it by the one that was given"),
        "by every verb",
      ),
      kept(
        "a run gets the branch's newest commit",
        shown.withJobs("a due time deploys the newest commit, in a run that says what it is of"),
      ),
      kept("what its tests hold to be no schedule is none", shown.schedule("%s is wrong, as its tests hold")),
      changed(
        "no names, `@daily`, `a/step` or leading zeros in a schedule",
        "all five-field schedules that Kubernetes takes",
        shown.schedule("$schedule was $before and is $now"),
      ),
    ],
  },
  {
    title: "create, update, get and delete secret",
    rows: [
      kept(
        "`create secret --group` (required)",
        shown.secret("are wrong usage without data, or without a group"),
      ),
      kept(
        "`create secret --data` (required, repeatable)",
        shown.secret(
          "take several pairs after one --data, values with a =, and the last of a key",
          "are wrong usage without data, or without a group",
        ),
      ),
      kept(
        "`update secret --group` (required)",
        shown.secret("are wrong usage without data, or without a group"),
      ),
      kept("`update secret --data` (required, repeatable)", shown.secret("update, and the list of all")),
      kept(
        "`get secret --group`",
        shown.secret("shows all secrets of a group, one table each; nothing when there are none"),
      ),
      kept("`delete secret --group`", shown.secret("deletes a whole group")),
      kept(
        "a pair is split at the first `=`; key and value must not be empty; the last of a key counts; else 1",
        shown.secret(
          "take several pairs after one --data, values with a =, and the last of a key",
          "refuse %s with 1, and do not repeat it",
        ),
      ),
      kept("`Created secret=NAME in group=GROUP`, 0", shown.original("14: create, get and delete a secret")),
      changed(
        "a secret that exists: a message on credentials, 0",
        "`Cannot create secret=NAME in group=GROUP as it already exists`, 1",
        shown.secret("refuse one that exists, and one that does not, with 1 and the original's words"),
      ),
      kept("`Updated secret=NAME in group=GROUP`, 0; other keys stay", shown.original("12: update a secret")),
      changed(
        "`Could not find secret=NAME in group=GROUP` of update, 0",
        refusedBy1,
        shown.secret("refuse one that exists, and one that does not, with 1 and the original's words"),
      ),
      kept("`get secret NAME` without a group: a warning, 1", shown.secret("with a name wants the group: 1")),
      kept(
        "`NAME in group GROUP`: keys with their values in clear",
        shown.original("14: create, get and delete a secret"),
      ),
      kept("`Cannot find secret=NAME`, 0", shown.secret("create, get, delete and get again")),
      kept(
        "`all secrets` with `Secret Name` and `Bodywork Secret Group`",
        shown.secret("update, and the list of all"),
        "secrets of one name in two groups are both there",
      ),
      kept(
        "`Deleted secret=NAME from group=GROUP`, 0",
        shown.original("14: create, get and delete a secret"),
      ),
      kept(
        "`Could not find secret=NAME in group=GROUP` of delete, 0",
        shown.secret("of one that is not there is 0, as in the original; so of a group"),
      ),
      kept("`Deleted secret group=GROUP`, 0", shown.secret("deletes a whole group")),
      kept(
        "`Could not find secret group=GROUP`, 0",
        shown.secret("of one that is not there is 0, as in the original; so of a group"),
      ),
      kept("`delete secret` without a group: a warning, 1", shown.secret("wants a group: %s is 1")),
      kept(
        "names are sanitised as those of stages are",
        shown.secretActions("a name is sanitised as that of a stage is, by every verb"),
      ),
    ],
  },
];
