/**
 * `ottla topic`: create, list, describe, alter and delete topics of any Kafka-compatible cluster. The client is loaded
 * by `openAdmin` and the tables by the commands that print one, both only when a command runs.
 */
import type { Command } from 'commander'
import type { Admin, ConfigChange } from '../client/admin.ts'
import type { CliContext, Terminal } from './context.ts'
import { UsageError } from './failure.ts'
import {
  type ClusterOptions,
  clusterCommand,
  collect,
  positiveInteger,
  setting,
  withAdmin,
} from './options.ts'
import { registerElect } from './topic-elect.ts'

interface CreateOptions extends ClusterOptions {
  readonly partitions?: number
  readonly replicationFactor?: number
  readonly config?: Readonly<Record<string, string>>
  readonly ifNotExists?: boolean
  readonly dryRun?: boolean
}

interface DescribeOptions extends ClusterOptions {
  readonly ifExists?: boolean
}

interface AlterOptions extends ClusterOptions {
  readonly partitions?: number
  readonly config?: Readonly<Record<string, string>>
  readonly deleteConfig?: readonly string[]
  readonly ifExists?: boolean
  readonly dryRun?: boolean
}

interface DeleteOptions extends ClusterOptions {
  readonly ifExists?: boolean
  readonly yes?: boolean
}

/** An AnswerError or PartialError, as far as the commands look into it. */
interface Failure extends Error {
  readonly error?: string
  readonly topic?: string
  readonly failures?: readonly Failure[]
  readonly succeeded?: readonly unknown[]
}

export function registerTopic(program: Command, context: CliContext): void {
  const topic = program.command('topic').description('create, look at, change and delete topics')
  const command = (usage: string, description: string) => clusterCommand(topic, usage, description)
  registerCreate(command('create <name...>', 'create topics'), context)
  command('list', 'list all topics').action((options: ClusterOptions) =>
    withAdmin(context, options, admin => list(admin, options, context.terminal)),
  )
  command('describe [name...]', 'show partitions, offsets, settings, and what an ack means')
    .option('--if-exists', 'a topic that does not exist is no failure')
    .action((names: string[], options: DescribeOptions) =>
      withAdmin(context, options, admin => describe(admin, names, options, context.terminal)),
    )
  registerAlter(command('alter <name...>', 'add partitions, change settings'), context)
  command('delete <name...>', 'delete topics with all their records')
    .option('--if-exists', 'a topic that does not exist is no failure')
    .option('-y, --yes', 'do not ask; nothing is asked either where there is no terminal')
    .action((names: string[], options: DeleteOptions) =>
      withAdmin(context, options, admin => remove(admin, names, options, context.terminal)),
    )
  registerElect(command('elect <name...>', 'give partitions a leader'), context)
}

function registerCreate(command: Command, context: CliContext): void {
  command
    .option('--partitions <number>', "default: the broker's num.partitions", positiveInteger)
    .option(
      '--replication-factor <number>',
      "default: the broker's default.replication.factor",
      positiveInteger,
    )
    .option('--config <key=value>', 'a setting of the topic; may be repeated', setting)
    .option('--if-not-exists', 'a topic that exists already is no failure and is left as it is')
    .option('--dry-run', 'only check whether it would be accepted')
    .action((names: string[], options: CreateOptions) =>
      withAdmin(context, options, admin => create(admin, names, options, context.terminal)),
    )
}

function registerAlter(command: Command, context: CliContext): void {
  command
    .option('--partitions <number>', 'how many the topic shall have', positiveInteger)
    .option('--config <key=value>', 'set a setting; may be repeated', setting)
    .option('--delete-config <key>', 'back to the default; may be repeated', collect)
    .option('--if-exists', 'a topic that does not exist is no failure')
    .option('--dry-run', 'only check whether it would be accepted')
    .action((names: string[], options: AlterOptions) => {
      const { partitions, config = {}, deleteConfig = [] } = options
      if (partitions === undefined && Object.keys(config).length + deleteConfig.length === 0) {
        throw new UsageError('nothing to alter: give --partitions, --config or --delete-config.')
      }
      return withAdmin(context, options, admin => alter(admin, names, options, context.terminal))
    })
}

async function create(
  admin: Admin,
  names: readonly string[],
  options: CreateOptions,
  terminal: Terminal,
): Promise<void> {
  const { partitions, replicationFactor, config: configs, dryRun: validateOnly } = options
  const topics = names.map(name => ({ name, partitions, replicationFactor, configs }))
  const call = admin.createTopics(topics, { validateOnly })
  const outcome = await settle(call, options.ifNotExists === true ? 'TOPIC_ALREADY_EXISTS' : null)
  if (options.json === true) printJson(terminal, outcome.done)
  else {
    const verb = validateOnly === true ? 'would be created' : 'created'
    for (const topic of outcome.done) {
      const size = `${count(topic.partitions, 'partition')}, ${count(topic.replicationFactor, 'replica')}`
      terminal.out(`${topic.name} ${verb}: ${size}\n`)
    }
    for (const name of outcome.tolerated) terminal.out(`${name} exists already\n`)
  }
  outcome.rethrow()
}

async function list(admin: Admin, { json }: ClusterOptions, terminal: Terminal): Promise<void> {
  const topics = await admin.listTopics()
  if (json === true) return printJson(terminal, topics)
  const { listTable } = await import('./topic-tables.ts')
  terminal.out(listTable(topics))
}

async function describe(
  admin: Admin,
  names: readonly string[],
  { json, ifExists }: DescribeOptions,
  terminal: Terminal,
): Promise<void> {
  const { describeText, describeJson, readDescriptions } = await import('./topic-describe.ts')
  const wanted = names.length === 0 ? null : names
  const call = admin.describeTopics(wanted)
  const outcome = await settle(call, ifExists === true ? 'UNKNOWN_TOPIC_OR_PARTITION' : null)
  const described = await readDescriptions(admin, outcome.done)
  if (json === true) printJson(terminal, described.map(describeJson))
  else {
    terminal.out(described.map(describeText).join('\n'))
    for (const name of outcome.tolerated) terminal.out(`${name} does not exist\n`)
  }
  outcome.rethrow()
}

async function alter(
  admin: Admin,
  names: readonly string[],
  options: AlterOptions,
  terminal: Terminal,
): Promise<void> {
  const { partitions, config: set = {}, deleteConfig: unset = [] } = options
  const validateOnly = options.dryRun
  const absent = options.ifExists === true ? 'UNKNOWN_TOPIC_OR_PARTITION' : null
  const lines = new Map<string, string[]>()
  const note = (name: string, line: string) => lines.set(name, [...(lines.get(name) ?? []), line])
  let outcome: Outcome<unknown> = { done: [], tolerated: [], rethrow: () => {} }
  if (Object.keys(set).length + unset.length > 0) {
    const changes = names.map((name): ConfigChange => ({ type: 'topic', name, set, unset }))
    const altered = await settle(admin.incrementalAlterConfigs(changes, { validateOnly }), absent)
    for (const { name } of altered.done) {
      for (const [key, value] of Object.entries(set)) note(name, `${key}=${value}`)
      for (const key of unset) note(name, `${key} back to its default`)
    }
    outcome = altered
  }
  const left = names.filter(name => !outcome.tolerated.includes(name))
  if (partitions !== undefined && left.length > 0) {
    outcome.rethrow()
    const goals = left.map(topic => ({ topic, count: partitions }))
    const grown = await settle(admin.createPartitions(goals, { validateOnly }), absent)
    for (const name of grown.done) note(name, count(partitions, 'partition'))
    outcome = { ...grown, tolerated: [...outcome.tolerated, ...grown.tolerated] }
  }
  if (options.json === true) printJson(terminal, Object.fromEntries(lines))
  else {
    const verb = validateOnly === true ? 'would be altered' : 'altered'
    for (const [name, done] of lines) terminal.out(`${name} ${verb}: ${done.join(', ')}\n`)
    for (const name of outcome.tolerated) terminal.out(`${name} does not exist\n`)
  }
  outcome.rethrow()
}

async function remove(
  admin: Admin,
  names: readonly string[],
  options: DeleteOptions,
  terminal: Terminal,
): Promise<void> {
  if (options.yes !== true && options.json !== true && terminal.isInteractive) {
    const what = `${count(names.length, 'topic')} (${names.join(', ')})`
    const answer = await terminal.ask(`Delete ${what} with all records? [y/N] `)
    if (!/^y(es)?$/i.test(answer)) return terminal.out('nothing deleted\n')
  }
  const absent = options.ifExists === true ? 'UNKNOWN_TOPIC_OR_PARTITION' : null
  const outcome = await settle(admin.deleteTopics(names), absent)
  if (options.json === true) printJson(terminal, outcome.done)
  else {
    for (const ref of outcome.done) terminal.out(`${ref} deleted\n`)
    for (const name of outcome.tolerated) terminal.out(`${name} does not exist\n`)
  }
  outcome.rethrow()
}

interface Outcome<T> {
  readonly done: readonly T[]
  /** Topics that failed with the error that was said to be none. */
  readonly tolerated: readonly string[]
  /** Throws what failed otherwise, once the rest has been printed. */
  rethrow(): void
}

/** Waits for a call about several topics and sorts out what became of them. */
async function settle<T>(
  call: Promise<readonly T[]>,
  tolerated: string | null,
): Promise<Outcome<T>> {
  try {
    return { done: await call, tolerated: [], rethrow: () => {} }
  } catch (error) {
    const { failures, succeeded = [] } = error as Failure
    const all = failures ?? [error as Failure]
    const rest = all.filter(failure => tolerated === null || failure.error !== tolerated)
    if (rest.length === all.length && succeeded.length === 0) throw error
    const passed = all.filter(failure => !rest.includes(failure))
    return {
      done: succeeded as readonly T[],
      tolerated: passed.map(failure => failure.topic ?? ''),
      rethrow() {
        if (rest.length === 1) throw rest[0]
        if (rest.length > 1) throw error
      },
    }
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${JSON.stringify(value, null, 2)}\n`)
}
