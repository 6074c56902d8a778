/**
 * `ottla group`: look at, reset and delete the consumer groups of any Kafka-compatible cluster. `--watch` shows a picture
 * again and again until it is interrupted.
 */
import type { Command } from 'commander'
import type { Admin } from '../client/admin.ts'
import type { GroupAdmin } from '../client/group-admin.ts'
import type { CliContext, Terminal } from './context.ts'
import { UsageError } from './failure.ts'
import type { ResetOptions } from './group-reset.ts'
import {
  type ClusterOptions,
  clusterCommand,
  collect,
  duration,
  instant,
  integer,
  positiveInteger,
  withAdmin,
} from './options.ts'

interface WatchOptions extends ClusterOptions {
  /** Milliseconds between two pictures. */
  readonly watch?: number | true
}

interface Tools {
  readonly admin: Admin
  readonly groups: GroupAdmin
  readonly terminal: Terminal
}

const DEFAULT_WATCH_MS = 2000

export function registerGroup(program: Command, context: CliContext): void {
  const group = program.command('group').description('look at, reset and delete consumer groups')
  const command = (usage: string, description: string) => clusterCommand(group, usage, description)
  const watched = (usage: string, description: string) =>
    command(usage, description).option('--watch [ms]', 'show it again and again', positiveInteger)
  watched('list', 'list all groups').action((options: WatchOptions) =>
    watching(context, options, async ({ groups, terminal }) => {
      const found = await groups.list()
      const { listText } = await import('./group-tables.ts')
      terminal.out(options.json === true ? json(found) : listText(found))
    }),
  )
  watched('describe <name...>', 'show members, and what a rebalance waits for').action(
    (names: string[], options: WatchOptions) =>
      watching(context, options, tools => describe(tools, names, options)),
  )
  watched('lag [name...]', 'show how far groups have read, and how far they are behind').action(
    (names: string[], options: WatchOptions) =>
      watching(context, options, tools => lag(tools, names, options)),
  )
  registerReset(command('reset <name>', 'let a group without members read from elsewhere'), context)
  command('delete <name...>', 'delete groups without members, and their offsets')
    .option('-y, --yes', 'do not ask; nothing is asked either where there is no terminal')
    .action((names: string[], options: ClusterOptions & { yes?: boolean }) =>
      withTools(context, options, tools => remove(tools, names, options)),
    )
}

function registerReset(command: Command, context: CliContext): void {
  command
    .option(
      '--topic <name[:partition,…]>',
      'default: all that it has read; may be repeated',
      collect,
    )
    .option('--to-earliest', 'the first record')
    .option('--to-latest', 'behind the last record')
    .option('--to-offset <offset>', 'this offset, or the nearest that there is', integer)
    .option('--shift-by <count>', 'so many records on, or back if below 0', integer)
    .option('--to-timestamp <time>', 'the first record from then on: ISO 8601 or ms', instant)
    .option('--by-duration <duration>', 'so long ago: 90s, 15m, 6h, 2d', duration)
    .option('--dry-run', 'only show what would be set')
    .option('-y, --yes', 'do not ask; nothing is asked either where there is no terminal')
    .action((name: string, options: ClusterOptions & ResetOptions) =>
      withTools(context, options, async ({ admin, groups, terminal }) => {
        const { reset } = await import('./group-reset.ts')
        await reset({ admin, groups, terminal, nowMs: Date.now() }, name, options)
      }),
    )
}

async function withTools(
  context: CliContext,
  options: ClusterOptions,
  command: (tools: Tools) => Promise<void>,
): Promise<void> {
  await withAdmin(context, options, admin =>
    command({ admin, groups: admin.groups, terminal: context.terminal }),
  )
}

/** Once, or until the process ends. */
function watching(
  context: CliContext,
  options: WatchOptions,
  show: (tools: Tools) => Promise<void>,
): Promise<void> {
  return withTools(context, options, async tools => {
    await show(tools)
    const { watch } = options
    if (watch === undefined) return
    const pauseMs = watch === true ? DEFAULT_WATCH_MS : watch
    for (;;) {
      await new Promise(resolve => setTimeout(resolve, pauseMs))
      tools.terminal.out('\n')
      await show(tools)
    }
  })
}

async function describe(
  { groups, terminal }: Tools,
  names: readonly string[],
  options: ClusterOptions,
): Promise<void> {
  const found = await Promise.all(names.map(name => groups.describe(name)))
  if (options.json === true) return terminal.out(json(found))
  const { describeText } = await import('./group-tables.ts')
  terminal.out(found.map(describeText).join('\n'))
}

async function lag(
  { groups, terminal }: Tools,
  names: readonly string[],
  options: ClusterOptions,
): Promise<void> {
  const wanted = names.length > 0 ? names : (await groups.list()).map(({ groupId }) => groupId)
  const found = await Promise.all(
    wanted.map(async group => (await groups.lag(group)).map(one => ({ group, ...one }))),
  )
  if (options.json === true) return terminal.out(json(found.flat()))
  const { lagText } = await import('./group-tables.ts')
  terminal.out(lagText(found.flat()))
}

async function remove(
  { groups, terminal }: Tools,
  names: readonly string[],
  options: ClusterOptions & { readonly yes?: boolean },
): Promise<void> {
  if (options.yes !== true && terminal.isInteractive) {
    const answer = await terminal.ask(`Delete ${names.join(', ')} and their offsets? [y/N] `)
    if (!/^y(es)?$/i.test(answer)) throw new UsageError('nothing was deleted.')
  }
  await groups.delete(names)
  if (options.json === true) return terminal.out(json({ deleted: names }))
  for (const name of names) terminal.out(`Deleted group ${name}.\n`)
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
