/** `ottla config`: look at and change the settings of topics, brokers and groups of any Kafka-compatible cluster. */
import { Argument, type Command } from 'commander'
import type { Admin, ConfigChange, ConfigEntry, ConfigResource } from '../client/admin.ts'
import type { CliContext, Terminal } from './context.ts'
import { UsageError } from './failure.ts'
import { type ClusterOptions, clusterCommand, collect, setting, withAdmin } from './options.ts'

interface DescribeOptions extends ClusterOptions {
  readonly all?: boolean
  readonly doc?: boolean
}

interface AlterOptions extends ClusterOptions {
  readonly set?: Readonly<Record<string, string>>
  readonly delete?: readonly string[]
  readonly dryRun?: boolean
}

type Kind = ConfigResource['type']

const KINDS: readonly Kind[] = ['topic', 'broker', 'group']

const NAMES_HELP = `
A broker is named by its node id; without one it is what holds for all brokers (with describe: and each broker's own).`

export function registerConfig(program: Command, context: CliContext): void {
  const config = program.command('config').description('look at and change settings')
  const command = (usage: string, description: string) =>
    clusterCommand(config, usage, description)
      .addArgument(new Argument('<kind>', 'whose settings').choices(KINDS))
      .argument('[name...]', 'which')
      .addHelpText('after', NAMES_HELP)
  command('describe', 'show settings that differ from their defaults')
    .option('--all', 'also those that are at their defaults')
    .option('--doc', 'say what each means')
    .action((kind: Kind, names: string[], options: DescribeOptions) =>
      withAdmin(context, options, admin => describe(admin, kind, names, options, context.terminal)),
    )
  command('alter', 'change single settings and leave the others as they are')
    .option('--set <key=value>', 'set a setting; may be repeated', setting)
    .option('--delete <key>', 'back to the default; may be repeated', collect)
    .option('--dry-run', 'only check whether it would be accepted')
    .action((kind: Kind, names: string[], options: AlterOptions) => {
      const { set = {}, delete: unset = [] } = options
      if (Object.keys(set).length + unset.length === 0) {
        throw new UsageError('nothing to alter: give --set or --delete.')
      }
      return withAdmin(context, options, admin =>
        alter(admin, kind, names, options, context.terminal),
      )
    })
}

async function describe(
  admin: Admin,
  kind: Kind,
  given: readonly string[],
  options: DescribeOptions,
  terminal: Terminal,
): Promise<void> {
  const names = given.length > 0 ? given : await everyBroker(admin, kind)
  const { describeConfigsText, describeConfigsJson } = await import('./config-tables.ts')
  const resources = names.map(name => ({ type: kind, name }))
  const documentation = options.doc === true
  const found = await admin.describeConfigs(resources, { documentation })
  const shown = found.map(({ configs, ...resource }) => ({
    ...resource,
    configs: configs.filter(config => options.all === true || isChanged(config)),
  }))
  terminal.out(
    options.json === true
      ? `${JSON.stringify(shown.map(describeConfigsJson), null, 2)}\n`
      : shown.map(one => describeConfigsText(one, documentation)).join('\n'),
  )
}

const DEFAULT_SOURCE = 5

function isChanged({ configSource }: ConfigEntry): boolean {
  return configSource !== DEFAULT_SOURCE
}

async function everyBroker(admin: Admin, kind: Kind): Promise<readonly string[]> {
  needsNames(kind)
  await admin.cluster.run('looking for brokers', {}, attempt => admin.cluster.metadata([], attempt))
  return ['', ...admin.cluster.nodeIds.map(String)]
}

function needsNames(kind: Kind): void {
  if (kind !== 'broker') throw new UsageError(`name the ${kind}s after '${kind}'.`)
}

async function alter(
  admin: Admin,
  kind: Kind,
  given: readonly string[],
  options: AlterOptions,
  terminal: Terminal,
): Promise<void> {
  if (given.length === 0) needsNames(kind)
  const { set = {}, delete: unset = [], dryRun: validateOnly } = options
  const names = given.length === 0 ? [''] : given
  const changes = names.map((name): ConfigChange => ({ type: kind, name, set, unset }))
  const altered = await admin.incrementalAlterConfigs(changes, { validateOnly })
  if (options.json === true) {
    const done = altered.map(({ type, name }) => ({ type, name, set, deleted: unset }))
    return terminal.out(`${JSON.stringify(done, null, 2)}\n`)
  }
  const verb = validateOnly === true ? 'would be altered' : 'altered'
  const lines = [
    ...Object.entries(set).map(([key, value]) => `${key}=${value}`),
    ...unset.map(key => `${key} back to its default`),
  ]
  for (const { type, name } of altered) {
    const who = name === '' ? `all ${type}s` : `${type} ${name}`
    terminal.out(`${who} ${verb}: ${lines.join(', ')}\n`)
  }
}
