/**
 * `ottla completion bash|zsh|fish`: a script that lets the shell ask `ottla complete` what may come next. What that answers is
 * drawn from the commands themselves, and names of topics and groups from the cluster, as long as it answers at once.
 */
import { Argument, type Command, type Option } from 'commander'
import type { CliContext } from './context.ts'

const SCRIPTS = {
  bash: `_ottla() {
  local IFS=$'\\n'
  COMPREPLY=($(ottla complete "\${COMP_LINE:0:\${COMP_POINT}}" 2>/dev/null | cut -f 1))
}
complete -o default -F _ottla ottla
`,
  zsh: `#compdef ottla
_ottla() {
  local -a found
  found=("\${(@f)$(ottla complete "\${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
  if [[ -z "\${found[1]}" ]]; then
    _files
    return
  fi
  found=("\${found[@]//:/\\\\\\\\:}")
  found=("\${found[@]/$'\\t'/:}")
  _describe ottla found
}
compdef _ottla ottla
`,
  fish: `function __ottla_complete
  set --local found (ottla complete (commandline --cut-at-cursor --current-process | string collect) 2>/dev/null)
  if test (count $found) -gt 0
    string join \\n -- $found
  else
    __fish_complete_path (commandline --current-token)
  end
end
complete --command ottla --no-files --arguments '(__ottla_complete)'
`,
} as const

type Shell = keyof typeof SCRIPTS

const HELP = `
bash:  source <(ottla completion bash)                       in ~/.bashrc
zsh:   source <(ottla completion zsh)                        in ~/.zshrc, after compinit
fish:  ottla completion fish > ~/.config/fish/completions/ottla.fish`

export function registerCompletion(program: Command, context: CliContext): void {
  program
    .command('completion')
    .description('print a script that completes commands, options and names in a shell')
    .addArgument(new Argument('<shell>', 'which').choices(Object.keys(SCRIPTS)))
    .addHelpText('after', HELP)
    .action((shell: Shell) => context.terminal.out(SCRIPTS[shell]))
  program
    .command('complete', { hidden: true })
    .argument('<line>', 'the command line up to the cursor')
    .action(async (line: string) => {
      const { candidates, asks, options, last } = whatComesNext(program, line)
      const known = asks === null ? [] : await namesOf(asks, options, context)
      const names = known.filter(name => name.startsWith(last))
      const all = [...candidates, ...names.map(name => ({ name, description: '' }))]
      for (const { name, description } of all) {
        context.terminal.out(description === '' ? `${name}\n` : `${name}\t${description}\n`)
      }
    })
}

export interface Candidate {
  readonly name: string
  readonly description: string
}

export interface Completion {
  readonly candidates: readonly Candidate[]
  /** What else may come: names that the cluster knows. */
  readonly asks: 'topic' | 'group' | null
  /** Options and their values that stand in the line already. */
  readonly options: ReadonlyMap<string, string>
  /** What has been typed of the word. */
  readonly last: string
}

/** Values of options that are one of a few. */
const VALUES: { readonly [flag: string]: readonly string[] } = {
  '--acks': ['all', '1', '0'],
  '--compression': ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
  '--isolation': ['read_uncommitted', 'read_committed'],
  '--from': ['earliest', 'latest'],
}

/** What may stand at the end of a command line, whose first word is the program's name. */
export function whatComesNext(program: Command, line: string): Completion {
  const words = line.trimStart().split(/\s+/).slice(1)
  const last = words.pop() ?? ''
  let command = program
  let awaited: Option | undefined
  const positional: string[] = []
  const options = new Map<string, string>()
  for (const word of words) {
    const sub = command.commands.find(one => one.name() === word)
    if (awaited !== undefined) {
      options.set(awaited.long ?? '', word)
      awaited = undefined
    } else if (word.startsWith('-')) {
      const option = command.options.find(one => one.long === word || one.short === word)
      awaited = option?.required === true ? option : undefined
    } else if (sub !== undefined && positional.length === 0) command = sub
    else positional.push(word)
  }
  const fits = (list: readonly Candidate[]) => list.filter(({ name }) => name.startsWith(last))
  if (awaited !== undefined) {
    const values = VALUES[awaited.long ?? ''] ?? []
    const asks = awaited.long === '--topic' || awaited.long === '--group' ? awaited.long : null
    return {
      candidates: fits(values.map(name => ({ name, description: '' }))),
      asks: asks === null ? null : (asks.slice(2) as 'topic' | 'group'),
      options,
      last,
    }
  }
  if (last.startsWith('-')) return { candidates: fits(flagsOf(command)), asks: null, options, last }
  const subcommands = command.createHelp().visibleCommands(command)
  const names = subcommands.map(one => ({ name: one.name(), description: one.description() }))
  if (names.length > 0) return { candidates: fits(names), asks: null, options, last }
  const argument = argumentAt(command, positional.length)
  const choices = argument?.argChoices ?? []
  return {
    candidates: fits(choices.map(name => ({ name, description: '' }))),
    asks: argument === undefined ? null : namesFor(command, argument, positional),
    options,
    last,
  }
}

function flagsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, description }) => ({ name: long ?? '', description }))
}

function argumentAt(command: Command, index: number): Argument | undefined {
  const list = command.registeredArguments
  const last = list.at(-1)
  return list[index] ?? (last?.variadic === true ? last : undefined)
}

function namesFor(
  command: Command,
  argument: Argument,
  before: readonly string[],
): 'topic' | 'group' | null {
  if (argument.name() === 'topic') return 'topic'
  if (argument.name() !== 'name' || command.name() === 'create') return null
  const kind = command.parent?.name() === 'config' ? before[0] : command.parent?.name()
  return kind === 'topic' || kind === 'group' ? kind : null
}

/** Somebody has pressed a key and waits. */
const ANSWER_WITHIN_MS = 1_000

async function namesOf(
  kind: 'topic' | 'group',
  options: ReadonlyMap<string, string>,
  context: CliContext,
): Promise<string[]> {
  try {
    const admin = await context.openAdmin({
      bootstrap: options.get('--bootstrap') ?? 'localhost:9092',
      apiTimeoutMs: ANSWER_WITHIN_MS,
      requestTimeoutMs: ANSWER_WITHIN_MS,
      connectTimeoutMs: ANSWER_WITHIN_MS,
      bootstrapTimeoutMs: 0,
    })
    try {
      if (kind === 'topic') return (await admin.listTopics()).map(({ name }) => name)
      const { GroupAdmin } = await import('../client/group-admin.ts')
      return (await new GroupAdmin(admin.cluster).list()).map(({ groupId }) => groupId)
    } finally {
      admin.close()
    }
  } catch {
    // There is nowhere to say it: the line is being typed.
    return []
  }
}
