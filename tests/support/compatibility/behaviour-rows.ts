import { shown } from "./files.ts";
import { type CompatibilitySection, changed, kept, kubernetes, ownWords } from "./row.ts";

/** What a project file, a deployment, a stage and a repository are to the original. */
export const behaviourSections: readonly CompatibilitySection[] = [
  {
    title: "bodywork.yaml",
    rows: [
      kept(
        "`bodywork.yaml` in the root of the repository",
        shown.run("all errors of a project file refuse the run at once, before anything is built or started"),
      ),
      kept("schema `1.1`", shown.project("a valid file becomes a project with its defaults filled in")),
      changed(
        "schema 1.0 is refused",
        "it is read, `project` for `pipeline`",
        shown.project("a file of schema 1.0 is read, with its section and its prefixes"),
      ),
      kept(
        "`config file has schema version X, when Bodywork version V requires schema version 1.1`",
        shown.project("the version %j is of another schema"),
      ),
      kept(
        "every key with its type, bounds and default",
        shown.project("%s: %j -> %s", "every optional key arrives where the rest of the tool looks for it"),
      ),
      kept(
        "unknown keys are ignored",
        shown.project("unknown keys are allowed at every level, whatever they hold"),
        "with a warning; an error with `--strict`",
      ),
      kept(
        "`required field`, `null value not allowed`, `must be of … type`, `min value is 0`, `unallowed value X`, `value does not match regex '…'`",
        shown.project("%s: %j -> %s"),
      ),
      kept('`stages.S.args -> [{"2": ["must be of string type"]}]`', shown.project("%s: %j -> %s")),
      kept("`null stages found in step N when parsing DAG definition`", shown.project("%s: %j -> %s")),
      kept(
        "`pipeline.workflow -> cannot find valid stage @ stages.NAME`",
        shown.project("an empty mapping of stages lacks those that the DAG names, each time that it does"),
      ),
      kept(
        "`pipeline.run_on_failure -> cannot find valid stage: NAME to run on workflow failure.`",
        shown.project("the failure hook must be a stage of the file, in the DAG or not"),
      ),
      kept("`stages.S.batch/service`", shown.project("a stage that is %s is neither batch nor service")),
      kept("`stages._ - no stage configs provided`", shown.project("stages: %s holds no stages")),
      kept(
        "`stages.S.executable_module_path -> does not exist`",
        shown.project("with files at hand, every module and requirements file must be among them"),
      ),
      kept(
        "errors of all sections together, sorted",
        shown.project("errors of all sections are listed together, sorted by code point"),
      ),
      kept(
        "`missing or invalid parameters: …` of a deployment",
        shown.run("of many errors the reason has the first and their number, and the details have them all"),
        "the first of many; all are below it",
      ),
      changed(
        "a stage twice in a step, a service as failure stage, no replicas: accepted, then fails",
        "refused before anything starts",
        shown.projectRules("what would certainly fail is valid, and refused when it is deployed: %j"),
      ),
      kept("names are sanitised as `stage_1` → `stage-1`", shown.naming("the name %j is sanitised to %j")),
    ],
  },
  {
    title: "A deployment",
    rows: [
      kept(
        "steps in order; in a mixed step services start after its batch stages",
        shown.run(
          "a run becomes a release: stages in the order of the DAG, batch before services in a mixed step",
        ),
      ),
      kept(
        "attempts are `retries` + 1",
        shown.run("attempts are retries + 1, each on record with its reason; one that succeeds ends it"),
      ),
      kept(
        "`Deployment successful`",
        shown.original("1: create, update, get and delete a deployment from end to end"),
      ),
      kept("`Deployment failed --> REASON`, 1", shown.original("4: the on-failure stage runs")),
      kept(
        "`Removing service: S from previous deployment with git-commit-hash`",
        shown.original("2: services of previous deployments are deleted"),
        "with its route",
      ),
      kept(
        "`Deployments failed to roll-out successfully`",
        shown.original("3: a failing redeployment is rolled back"),
      ),
      ownWords(
        "`Rolled-back k8s deployment for stage = S`",
        "every service that the run changed goes back to the live release",
        shown.failures(
          "what a failed run had replaced already is put back, newest first; what it had added goes",
        ),
      ),
      kept(
        "`A project with the same name (or namespace): NS …`",
        shown.run("another repository may not deploy into a namespace that is taken"),
      ),
      kept(
        "`cannot find key=VAR in secret=SECRET in namespace=NS`, `; `-joined",
        shown.secretsInRuns(
          "all secrets that are missing refuse the run at once, with the commands that mend it, before anything is built",
        ),
        "before anything starts, and all at once",
      ),
      kept(
        "a stage's `secrets` are environment variables",
        shown.original("1: create, update, get and delete a deployment from end to end"),
      ),
      kept(
        "the failure stage runs last, with `EXCEPTION_MESSAGE`, and not when the pipeline could not start",
        shown.failures(
          "the stage for failures runs last, with the reason, and changes nothing about the exit code",
        ),
        "also with `GIT_COMMIT_HASH` and the key of a private repository",
      ),
      changed(
        "a requirement that can't be had is the stage's failure",
        "environments are made before any stage starts: nothing has been changed; the failure stage runs",
        shown.run("the failure stage runs when the requirements of another can't be had; no stage is begun"),
      ),
      changed(
        "a batch-only pipeline deletes its namespace",
        "nothing of it runs on; its history stays",
        shown.removedServices(
          "a pipeline of batch stages alone leaves nothing running, is listed with its history, and deleted by its name",
        ),
      ),
      kept(
        "a rolling update of a service",
        shown.services(
          "a rolling update loses no request: new ones first, then the switch, then the old end",
        ),
      ),
      kept(
        "the ingress: `/NAMESPACE/STAGE/…`, the prefix is stripped; none without `ingress: true`",
        shown.original("1: create, update, get and delete a deployment from end to end"),
      ),
      kept(
        "`http://STAGE:PORT` from stage to stage",
        shown.original("1: create, update, get and delete a deployment from end to end"),
        "also `STAGE.NAMESPACE` and `….svc.cluster.local`",
      ),
      kept(
        "`Invalid Docker image specified: IMAGE`, 1",
        shown.original("5a: a name that can't be an image's is refused"),
      ),
      changed(
        "only `USER/NAME[:TAG]` is an image",
        "every image's name",
        shown.image("%s is an image's name", "%j is no image's name"),
      ),
      ownWords(
        "`Cannot locate NAME:TAG on DockerHub`, `cannot connect to` URL",
        "no image runs on this machine, and no registry is asked; the tag of `docker_image` says which Python is wanted",
        shown.image("the image %j says Python %s"),
      ),
      changed(
        "`usage_stats`: one request to the project's server",
        "read and ignored: nothing is sent",
        shown.project("every optional key arrives where the rest of the tool looks for it"),
      ),
      kubernetes(
        "`Creating k8s namespace = NS`, `Using k8s namespace = NS`, `Unable to setup namespace: NS`",
        undefined,
        shown.cluster("1: create, update, get and delete a deployment from end to end"),
      ),
      kubernetes(
        "`Creating k8s service account = bodywork-stage`",
        undefined,
        shown.cluster("1: create, update, get and delete a deployment from end to end"),
      ),
      kubernetes(
        "`Replicating k8s secrets from group = GROUP`",
        "a stage gets its secrets from the group itself",
        shown.cluster(
          "1: create, update, get and delete a deployment from end to end",
          "11: a group's secrets are copied into a namespace",
        ),
      ),
      kubernetes(
        "`Creating k8s job for stage = S`, `Monitoring k8s jobs`, `Completed k8s job for stage = S`, `Deleted k8s job for stage = S`",
        "a stage's start and end are told with its name",
        shown.cluster(
          "1: create, update, get and delete a deployment from end to end",
          "3: jobs are cleaned up, and a failing redeployment is rolled back",
          "4: the on-failure stage runs",
        ),
      ),
      kubernetes(
        "`Creating k8s deployment and service for stage = S`, `Updating …`, `Monitoring k8s deployments`, `Successfully created …`",
        undefined,
        shown.cluster("1: create, update, get and delete a deployment from end to end"),
      ),
      kubernetes(
        "`Executing DAG step = […]`, `Successfully executed DAG step = […]`",
        "stages are told one by one: each starts as soon as it may",
      ),
      kubernetes("`Cannot get logs for S`"),
      kubernetes("`cannot find pods with names that start with`, `Inadequate cluster cpu` and memory"),
      kubernetes(
        "`cannot determine status`, `have failed`, `yet to reach status=succeeded`, `have yet to reach status=complete`",
        "`exit 3`, `SIGKILL`, `timed out after 60 s`, with the last lines of the log",
      ),
      kubernetes("time-outs of a step: retries × time + 90 s", "each attempt has its own time"),
      kubernetes(
        "names, labels and annotations of Jobs, Deployments, Services, Ingresses, CronJobs and Secrets",
        undefined,
        shown.adopted(
          "its service is listed, replaced in place, and deleted",
          "its secrets and cronjobs are listed, changed and deleted",
        ),
      ),
      kubernetes(
        "`bodywork-deployment-jobs`, `bodywork-workflow-controller`, `bodywork-stage`, their roles and bindings",
        undefined,
        shown.adopted("nothing is left after the deployment was deleted and `cluster remove`"),
      ),
      kubernetes("polling every 2 s, maxSurge 2, probes every 10 s, finished jobs kept for 900 s"),
    ],
  },
  {
    title: "A stage",
    rows: [
      kept(
        "`GIT_COMMIT_HASH`",
        shown.plan(
          "every stage gets the commit's short hash, and asks for the environment that the file says",
        ),
      ),
      kept(
        "`PYTHONPATH` is the root of the repository, the working folder that of the module; arguments as they are",
        shown.runBatch(
          "a stage's environment is built from nothing, and its folder and arguments are as the file says",
        ),
      ),
      changed(
        "every stage clones the newest commit",
        "all stages of a run get one commit",
        shown.whole(
          "batch stages side by side, a notebook, two services with one port and two replicas each, calling each other by name: unchanged code deploys and answers",
        ),
      ),
      changed(
        "a stage gets all variables of its container",
        "what the machine must give, what the project declares, and what the engine promises",
        shown.runBatch(
          "a stage's environment is built from nothing, and its folder and arguments are as the file says",
        ),
      ),
      changed(
        "`max_completion_time_seconds` ends the program alone",
        "and everything that it started",
        shown.runBatch("at its time limit the whole process tree is ended, also what has left its session"),
      ),
      kept(
        "`Starting stage` of `bodywork stage`",
        shown.stageHere("says what it does as the original, with the program's output between"),
      ),
      kept(
        "`Installing required Python packages`, `Using pip`; neither without requirements",
        shown.stageHere(
          "has its requirements, and says that they are installed",
          "says what it does as the original, with the program's output between",
        ),
        "`Using pip-compatible installer: uv`",
      ),
      kept(
        "`Attempting to run` module or notebook, `Successfully ran stage`, 0",
        shown.stageHere("says what it does as the original, with the program's output between"),
      ),
      kept("`CalledProcessError`, 1", shown.stageHere("fails as the original does when its program fails")),
      kept(
        "`Timeout exceeded`, 1",
        shown.stageHere("is ended with all that it started when its time is over"),
        "the original does not say it",
      ),
      kept(
        "`KeyError` for a stage that is not there, 1",
        shown.stageHere("of an unknown name is a KeyError that names the known ones"),
      ),
      kept(
        "`[dd/mm/yy HH:MM:SS] INFO     …`",
        shown.stage("stage prints the lines of the original's log, and the installer's text as it is"),
      ),
      kept(
        "`BODYWORK_LOG_LEVEL`",
        shown.stageHere("leaves out what the level of BODYWORK_LOG_LEVEL leaves out"),
      ),
      changed(
        "`./bodywork_project` is cloned into and removed, whatever was there",
        "only `stage` puts it there, and refuses when it is not empty; deployments work in the home folder",
        shown.stageHere("touches no folder of the user's that is in its way"),
      ),
      kept(
        "a notebook runs cell by cell in its own folder",
        shown.whole(
          "batch stages side by side, a notebook, two services with one port and two replicas each, calling each other by name: unchanged code deploys and answers",
        ),
        "with its arguments and time limit, and its output in the log",
      ),
    ],
  },
  {
    title: "Repositories",
    rows: [
      kept("`https://`, `git@HOST:…` and `file://`", shown.repositoryUrl("%s is accepted"), "`ssh://` too"),
      kept(
        "`cannot identify connection protocol`",
        shown.repositoryUrl("is refused in the original's words when it is of no kind that we know"),
      ),
      kept(
        "`Git clone failed`",
        shown.stageHere("of a repository that can't be had says that the clone failed"),
      ),
      kept(
        "the remote's default branch without `--branch`",
        shown.git("the remote's default branch when none is named, and it is told by its name"),
      ),
      kept(
        "a short commit hash of 7 digits",
        shown.stageHere("says what it does as the original, with the program's output between"),
      ),
      kept("`git is not available`", shown.git("without git says that git is missing")),
      kept(
        "`Unable to retrieve git commit hash:`",
        shown.unreadableCopy("a copy of which git can't tell the commit is told so, in the original's words"),
      ),
      kept(
        "`BODYWORK_GIT_SSH_PRIVATE_KEY` wins over `--ssh`",
        shown.deploy("is that of the variable when it is set, which wins over the file and is not kept"),
      ),
      kept(
        "the key of `--ssh` is the secret `GROUP-ssh-git-private-key`, which later runs use",
        shown.sshKey(
          "a key that is to be kept becomes a secret of the deployment's group, and later runs need none",
        ),
        "`ssh-git-private-key` in the group",
      ),
      kept("`Failed to setup SSH for HOST`", shown.ssh("that is denied says what to do, with the key %j")),
      kept(
        "`SECURITY ALERT! SSH Fingerprint received from server does not match the fingerprint for HOST`",
        shown.ssh("is refused with an alarm when it shows another fingerprint than the accepted one"),
      ),
      changed(
        "the key is written to `~/.ssh/id_bodywork`, `known_hosts` is added to, `GIT_SSH_COMMAND` is set",
        "nothing of the user's is touched: key and hosts are in a file of their own as long as the call lasts",
        shown.ssh(
          "is reached with the given key only, which lies in a file of its own as long as the call lasts",
        ),
      ),
      changed(
        "four hosts by ssh, whose keys are asked for over the network",
        "any host; the keys of the big forges are built in",
        shown.ssh("trusts the big forges, the hosts that were accepted, and those the user knows"),
      ),
      changed(
        "only `--ssh` and the variable",
        "the user's ssh agent and keys too",
        shown.ssh("uses the user's agent and keys when none is given, and asks nothing"),
      ),
    ],
  },
  {
    title: "The original's integration tests",
    rows: [
      kept(
        "1 to 4: deployments from end to end, removed services, roll-back, failure stage",
        [
          ...shown.original(
            "1: create, update, get and delete a deployment from end to end",
            "2: services of previous deployments are deleted",
            "3: a failing redeployment is rolled back",
            "4: the on-failure stage runs",
          ),
          ...shown.cluster(
            "1: create, update, get and delete a deployment from end to end",
            "2: services of previous deployments are deleted",
            "3: jobs are cleaned up, and a failing redeployment is rolled back",
            "4: the on-failure stage runs",
          ),
        ],
        "on one machine without the strings that name Kubernetes objects: those above",
      ),
      kept("5a: a name that can't be an image's", onBoth("5a: a name that can't be an image's is refused")),
      kubernetes(
        "5b: an image that Docker Hub does not have",
        "no image runs on this machine",
        shown.cluster("5b: an image that Docker Hub does not have is refused, after the namespace was made"),
      ),
      kept("6: what is no repository", onBoth("6: what is no repository exits with something else than 0")),
      kept("7: cronjobs", onBoth("7: create, update, get and delete a cronjob")),
      kept("8: a private repository", [
        ...shown.original("8: with the key in a file"),
        ...shown.cluster("8: a private repository, with the key in a file"),
      ]),
      kept("9: an asynchronous deployment", onBoth("9: an asynchronous deployment")),
      kept("10: the same of a private repository", [
        ...shown.original("10: asynchronously"),
        ...shown.cluster("10: an asynchronous deployment of a private repository"),
      ]),
      kubernetes(
        "11: a group's secrets are copied into a namespace",
        undefined,
        shown.cluster("11: a group's secrets are copied into a namespace"),
      ),
      kept(
        "12 to 14: secrets",
        onBoth("12: update a secret", "13: list all secrets", "14: create, get and delete a secret"),
      ),
      kept(
        "clones from `file://`, with a branch and without",
        shown.git(
          "a branch, a light or an annotated tag, a tag of a tag, and a commit by its 40 digits",
          "the remote's default branch when none is named, and it is told by its name",
        ),
      ),
      kept(
        "clones by ssh from GitHub, GitLab, Bitbucket and Azure",
        shown.ssh(
          "is unknown, is accepted by its fingerprint, and serves the repository to the key",
          "trusts the big forges, the hosts that were accepted, and those the user knows",
        ),
        "against an ssh server of the test's own; the forges' keys against their published fingerprints",
      ),
    ],
  },
  {
    title: "What the original's unit tests look at",
    rows: [
      kept("`--help` of every command exits with 0", shown.readCommandLine("bodywork %s --help")),
      kept(
        "validate: verdicts and texts",
        shown.validate("errors are listed in the original's form, sorted, each with its place"),
      ),
      kept(
        "`stage` runs modules and notebooks; `stage http://bad.repo master train` is wrong usage",
        shown.original("the stage command runs a module and a notebook"),
      ),
      kept("`debug 1` prints `sleeping for 1s`", shown.smallCommands("says how long it sleeps, and sleeps")),
      kept(
        "get cronjob: which of listing, history and logs",
        shown.cronjob(
          "shows the history: a table for each job that has runs, and what became of each due time",
          "shows the log of a job, whatever NAME is",
          "warns that --history and --logs exclude each other, once, with 1",
        ),
      ),
      kept(
        "secrets: bad data, a name without a group, nothing, a group alone",
        shown.secret(
          "refuse %s with 1, and do not repeat it",
          "with a name wants the group: 1",
          "wants a group: %s is 1",
          "deletes a whole group",
        ),
      ),
      kept(
        "deployments: `KEY.+VALUE` on one line, `No deployments found`",
        shown.getDeployment(
          "has the original's fields under their names and in their order, then ours",
          "says with 0 that there is none: %s",
        ),
      ),
      kept(
        "cronjobs: history rows `start_time`, `completion_time`, `active`, `succeeded`, `failed`",
        shown.cronjob(
          "shows the history: a table for each job that has runs, and what became of each due time",
        ),
      ),
      kept(
        "args reach the module, one each; its output passes through",
        shown.stageHere("says what it does as the original, with the program's output between"),
      ),
      kept(
        "a log is shown as it is",
        shown.logs("bear the stage's name, and the replica's where there are several"),
        "control characters as text",
      ),
      kept(
        "a second repository in one namespace is refused",
        shown.run("another repository may not deploy into a namespace that is taken"),
      ),
      kept(
        "a failing failure stage changes nothing, and is told",
        shown.run(
          "the failure stage runs last with the reason, and its own failure changes nothing about the run's",
        ),
      ),
      kubernetes(
        "bodies of Jobs, Deployments, Services, Ingresses, CronJobs and Secrets; scheduling; set-up of namespaces and roles",
      ),
    ],
  },
];

/** Tests of the same title, on this machine's engine and on a cluster. */
function onBoth(...titles: readonly string[]) {
  return [...shown.original(...titles), ...shown.cluster(...titles)];
}
