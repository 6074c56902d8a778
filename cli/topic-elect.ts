/**
 * `ottla topic elect`: leaders for partitions that have none, or not the preferred one. `--unclean` takes one that may lack
 * records, which is how partitions of a lost disk come back, empty.
 */
import type { Command } from 'commander'
import type { Admin, TopicDescription } from '../client/admin.ts'
import type { ElectionType } from '../client/elect-leaders.ts'
import type { CliContext, Terminal } from './context.ts'
import { type ClusterOptions, withAdmin } from './options.ts'

interface ElectOptions extends ClusterOptions {
  readonly unclean?: boolean
  readonly yes?: boolean
}

export function registerElect(command: Command, context: CliContext): void {
  command
    .option('--unclean', 'partitions without a leader get one that may lack records, or has none')
    .option('-y, --yes', 'do not ask; nothing is asked either where there is no terminal')
    .action((names: string[], options: ElectOptions) =>
      withAdmin(context, options, admin => elect(admin, names, options, context.terminal)),
    )
}

async function elect(
  admin: Admin,
  names: readonly string[],
  options: ElectOptions,
  terminal: Terminal,
): Promise<void> {
  const { json = false, unclean = false, yes = false } = options
  const type: ElectionType = unclean ? 'unclean' : 'preferred'
  const needed = (await admin.describeTopics(names)).flatMap(topic => inNeed(topic, type))
  const list = needed.map(({ topic, partition }) => `${topic}-${partition}`).join(', ')
  if (needed.length > 0 && unclean && !yes && !json && terminal.isInteractive) {
    const answer = await terminal.ask(
      `Give up the records of ${list} that are not there any more? [y/N] `,
    )
    if (!/^y(es)?$/i.test(answer)) return terminal.out('nothing elected\n')
  }
  const elected = needed.length === 0 ? [] : await admin.electLeaders(type, needed)
  if (json) return terminal.out(`${JSON.stringify(elected, null, 2)}\n`)
  for (const { topic, partition } of elected) terminal.out(`${topic}-${partition} has a leader\n`)
  if (needed.length === 0) terminal.out('every partition has its leader\n')
}

function inNeed({ name, partitions }: TopicDescription, type: ElectionType) {
  return partitions
    .filter(({ leaderId, replicaNodes }) =>
      type === 'unclean' ? leaderId < 0 : leaderId !== replicaNodes[0],
    )
    .map(({ partitionIndex: partition }) => ({ topic: name, partition }))
}
