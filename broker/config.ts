/**
 * The configuration of a broker: every setting of Kafka by its name, layered, checked and typed.
 *
 * Layers, the later ones win: default < properties file < --override < command line flag < dynamic default of the
 * cluster < dynamic setting of this broker. The tables stand in `settings/`: server.ts, log.ts and group.ts hold what
 * has an effect (and types `BrokerConfig`), ignored.ts what is accepted without one. To add a setting, add a row; to make an
 * ignored one work, move its row.
 */
import { normalize } from 'node:path'
import { type TopicDefaults, topicSettings } from '../segment-store/config.ts'
import {
  camelCase,
  canonicalText,
  defaultText,
  formatValue,
  InvalidSettingError,
  parseSetting,
  type Setting,
  type SettingValue,
  type ValuesOf,
} from '../segment-store/setting.ts'
import { groupSettings } from './settings/group.ts'
import { checkGroupBounds } from './settings/group-bounds.ts'
import { hiddenSettings, ignoredSettings } from './settings/ignored.ts'
import {
  type ListenerConfig,
  parseHostPort,
  parseListeners,
  withPort,
} from './settings/listeners.ts'
import { logSettings } from './settings/log.ts'
import { parseProperties } from './settings/properties.ts'
import { DEFAULT_QUEUED_BYTES, serverSettings } from './settings/server.ts'
import { explainUnknown } from './settings/unknown-name.ts'

export type { ListenerConfig } from './settings/listeners.ts'

export const workingSettings = { ...serverSettings, ...logSettings, ...groupSettings }

/** Every broker setting that is accepted, by name. */
export const brokerSettings: ReadonlyMap<string, Setting> = new Map<string, Setting>(
  Object.entries({ ...workingSettings, ...ignoredSettings, ...hiddenSettings }),
)

/** A value as it was given, and by what: a file's name, `--override`, `--port`, … */
export interface Given {
  readonly text: string
  readonly origin: string
}

/** What was set while the broker runs: stored in the cluster's metadata, as text by name. */
export interface DynamicSettings {
  readonly broker: Readonly<Record<string, string>>
  readonly clusterDefault: Readonly<Record<string, string>>
}

export interface IgnoredGroup {
  /** To be read after "because". */
  readonly because: string
  readonly names: readonly string[]
}

type Values = ValuesOf<typeof workingSettings>

/** The settings in force. `reconfigure` changes it in place, so read it where it is used and keep no copies. */
export type BrokerConfig = Omit<
  Values,
  'listeners' | 'advertisedListeners' | 'maxConnectionsPerIpOverrides' | 'metricsListener'
> & {
  readonly listeners: readonly ListenerConfig[]
  readonly maxConnectionsPerIpOverrides: ReadonlyMap<string, number>
  /** Null: no metrics over HTTP. `isDefault`: nobody asked for this address, so failing to bind it is no reason to stop. */
  readonly metricsListener: { host: string; port: number; isDefault: boolean } | null
  /** Where the logs are: `log.dirs`, or `log.dir` where that is not set. */
  readonly dataDirs: readonly string[]
  /** `log.initial.task.delay.ms`, which is not among the documented settings. */
  readonly logInitialTaskDelayMs: number
  /** What topics inherit from this broker. */
  readonly topicDefaults: TopicDefaults
  /** What was given and has no effect, for one line at the start. */
  readonly ignored: readonly IgnoredGroup[]
  readonly given: ReadonlyMap<string, Given>
  readonly dynamic: DynamicSettings
}

export interface ConfigSources {
  readonly file?: { readonly name: string; readonly text: string }
  /** `key=value`, as after --override; the value may be empty. */
  readonly overrides?: readonly string[]
  readonly flags?: { readonly port?: number; readonly dataDir?: string }
}

/** All that is wrong with a configuration. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`The configuration cannot be used:\n${problems.map(line => `  - ${line}`).join('\n')}`)
    this.problems = problems
  }
}

const NOTHING_DYNAMIC: DynamicSettings = { broker: {}, clusterDefault: {} }

/** Reads the static layers. Throws ConfigError with everything that is wrong, not just the first of it. */
export function loadConfig(sources: ConfigSources = {}): BrokerConfig {
  const problems: string[] = []
  const given = collect(sources, problems)
  for (const name of given.keys()) {
    if (!isKnown(name)) problems.push(explainUnknown(name, brokerSettings.keys()))
  }
  const config = resolve(given, NOTHING_DYNAMIC, problems)
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

/**
 * Puts other dynamic settings in force, in place. They were checked when they were set; one that does not fit (any
 * more) is left out, and the returned sentences say so.
 */
export function reconfigure(config: BrokerConfig, dynamic: DynamicSettings): readonly string[] {
  const problems: string[] = []
  Object.assign(config, resolve(config.given, dynamic, problems))
  return problems
}

/** What a configuration with these dynamic settings would have wrong with it; nothing changes. */
export function checkDynamic(config: BrokerConfig, dynamic: DynamicSettings): readonly string[] {
  const problems: string[] = []
  resolve(config.given, dynamic, problems)
  return problems
}

/** A broker setting, also under the name of one listener (`listener.name.<listener>.<setting>`) or of a plug-in. */
function isKnown(name: string): boolean {
  if (brokerSettings.has(name)) return true
  return passedOn(name) !== null
}

/** Why a name that belongs to no row of the table is accepted; null if it is not. */
function passedOn(name: string): string | null {
  if (/^(rsm\.config|rlmm\.config|config\.providers|metrics\.context|metrics\.jmx)\../.test(name)) {
    return 'it is a setting of a plug-in, and Java classes cannot be loaded'
  }
  const parts = /^listener\.name\.[^.]+\.(.+)$/.exec(name)?.[1]?.split('.') ?? []
  for (let i = 0; i < parts.length; i++) {
    // A SASL mechanism may stand before the setting.
    if (brokerSettings.has(parts.slice(i).join('.'))) {
      return 'settings for a single listener do not work yet'
    }
  }
  return null
}

function collect(sources: ConfigSources, problems: string[]): Map<string, Given> {
  const { file, overrides = [], flags = {} } = sources
  const given = new Map<string, Given>()
  for (const [name, text] of file === undefined ? [] : parseProperties(file.text)) {
    given.set(name, { text, origin: file?.name ?? '' })
  }
  for (const override of overrides) {
    const separator = override.indexOf('=')
    if (separator <= 0) problems.push(`--override ${override}: expected key=value`)
    else {
      given.set(override.slice(0, separator).trim(), {
        text: override.slice(separator + 1),
        origin: '--override',
      })
    }
  }
  if (flags.dataDir !== undefined) {
    given.set('log.dirs', { text: flags.dataDir, origin: '--data-dir' })
  }
  if (flags.port !== undefined) setPort(flags.port, given, problems)
  return given
}

function setPort(port: number, given: Map<string, Given>, problems: string[]): void {
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    problems.push(`--port ${port}: expected a number from 0 to 65535`)
    return
  }
  const controllers = staticValue('controller.listener.names', given, []) as readonly string[]
  const listeners = staticValue('listeners', given, []) as readonly string[]
  const changed = withPort(listeners, controllers ?? [], port)
  if (changed === null) problems.push('--port: there is not exactly one listener; set listeners')
  else given.set('listeners', { text: changed.join(','), origin: '--port' })
}

function staticValue(
  name: string,
  given: ReadonlyMap<string, Given>,
  problems: string[],
): SettingValue {
  const setting = brokerSettings.get(name)!
  const entry = given.get(name)
  return entry === undefined
    ? setting.defaultValue
    : parseOr(name, setting, entry.text, problems, setting.defaultValue)
}

function parseOr(
  name: string,
  setting: Setting,
  text: string,
  problems: string[],
  otherwise: SettingValue,
): SettingValue {
  try {
    return parseSetting(name, setting, text)
  } catch (error) {
    if (!(error instanceof InvalidSettingError)) throw error
    problems.push(error.message)
    return otherwise
  }
}

/** The text of what is in force for `name` itself, the way Kafka's tools show it. */
export function effectiveText(config: BrokerConfig, name: string): string | null {
  const setting = brokerSettings.get(name)
  if (setting === undefined) return null
  // Two names of one setting.
  if (name === 'node.id' || name === 'broker.id') return String(config.nodeId)
  const { dynamic, given } = config
  for (const text of [dynamic.broker[name], dynamic.clusterDefault[name], given.get(name)?.text]) {
    if (text !== undefined && isValid(name, setting, text))
      return canonicalText(name, setting, text)
  }
  return defaultText(setting)
}

function isValid(name: string, setting: Setting, text: string): boolean {
  const problems: string[] = []
  parseOr(name, setting, text, problems, null)
  return problems.length === 0
}

/** The value in force, from the highest layer that has a valid one. */
function effective(
  name: string,
  given: ReadonlyMap<string, Given>,
  dynamic: DynamicSettings,
  problems: string[],
): SettingValue {
  const setting = brokerSettings.get(name)!
  let value = staticValue(name, given, problems)
  for (const layer of [dynamic.clusterDefault, dynamic.broker]) {
    const text = layer[name]
    if (text !== undefined) value = parseOr(name, setting, text, problems, value)
  }
  return value
}

function resolve(
  given: ReadonlyMap<string, Given>,
  dynamic: DynamicSettings,
  problems: string[],
): BrokerConfig {
  const all = new Map<string, SettingValue>()
  for (const name of brokerSettings.keys()) {
    all.set(name, effective(name, given, dynamic, problems))
  }
  const entries = Object.keys(workingSettings).map(name => [camelCase(name), all.get(name)])
  const values = Object.fromEntries(entries) as Values
  const controllerListenerNames = (all.get('controller.listener.names') ?? []) as readonly string[]
  if (!values.processRoles.includes('broker')) {
    problems.push(
      'process.roles: must contain broker; a process that is only a controller has nothing to do here',
    )
  }
  checkGroupBounds(all, problems)
  return {
    ...values,
    nodeId: nodeId(values, given, problems),
    listeners: parseListeners({ ...values, controllerListenerNames }, problems),
    maxConnectionsPerIpOverrides: parseOverrides(values.maxConnectionsPerIpOverrides, problems),
    metricsListener: parseMetricsListener(values, given, problems),
    queuedMaxRequestBytes:
      values.queuedMaxRequestBytes > 0 ? values.queuedMaxRequestBytes : DEFAULT_QUEUED_BYTES,
    dataDirs: dataDirectories(values, problems),
    logInitialTaskDelayMs: all.get('log.initial.task.delay.ms') as number,
    topicDefaults: topicDefaults(values, all),
    ignored: ignoredNames(given),
    given,
    dynamic,
  }
}

function nodeId(values: Values, given: ReadonlyMap<string, Given>, problems: string[]): number {
  const { nodeId, brokerId } = values
  // -1 is Kafka's way of leaving broker.id out.
  if (brokerId === -1) return nodeId
  if (!given.has('node.id')) {
    if (brokerId < -1) problems.push(`broker.id: ${brokerId} is not a node id, which is at least 0`)
    return brokerId
  }
  if (brokerId !== nodeId) {
    problems.push(`broker.id ${brokerId} and node.id ${nodeId} mean the same and must be equal`)
  }
  return nodeId
}

function dataDirectories(values: Values, problems: string[]): readonly string[] {
  const name = values.logDirs === null ? 'log.dir' : 'log.dirs'
  const given = (values.logDirs ?? values.logDir).filter(directory => directory !== '')
  const directories = given.map(directory => normalize(directory).replace(/(?<=.)\/$/, ''))
  if (directories.length === 0) problems.push(`${name}: names no directory`)
  const twice = directories.find((directory, i) => directories.indexOf(directory) < i)
  if (twice !== undefined) problems.push(`${name}: ${twice} is named twice`)
  // As they were written: people look for these names in the log.
  return given.map(directory => directory.replace(/(?<=.)\/+$/, ''))
}

function parseOverrides(text: string, problems: string[]): ReadonlyMap<string, number> {
  const limits = new Map<string, number>()
  for (const item of text.split(',')) {
    if (item.trim() === '') continue
    // The last colon: an IPv6 address has others.
    const separator = item.lastIndexOf(':')
    const limit = item.slice(separator + 1).trim()
    const address = item.slice(0, Math.max(separator, 0)).trim()
    if (address !== '' && /^\d{1,10}$/.test(limit)) limits.set(address, Number(limit))
    else {
      problems.push(`max.connections.per.ip.overrides: "${item.trim()}" is not address:count`)
    }
  }
  return limits
}

function parseMetricsListener(
  values: Values,
  given: ReadonlyMap<string, Given>,
  problems: string[],
): BrokerConfig['metricsListener'] {
  const text = values.metricsListener
  if (text === '') return null
  const address = parseHostPort(text)
  if (address === null) {
    problems.push(`metrics.listener: "${text}" is not host:port; empty turns it off`)
    return null
  }
  return { ...address, isDefault: !given.has('metrics.listener') }
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

/** What topics inherit, as text; a few come in several units or from a setting with another name. */
function topicDefaults(values: Values, all: ReadonlyMap<string, SettingValue>): TopicDefaults {
  const retentionMs =
    values.logRetentionMs ??
    (values.logRetentionMinutes === null
      ? values.logRetentionHours * HOUR_MS
      : values.logRetentionMinutes * MINUTE_MS)
  const derived: Readonly<Record<string, number>> = {
    'retention.ms': retentionMs < 0 ? -1 : retentionMs,
    'segment.ms': values.logRollMs ?? values.logRollHours * HOUR_MS,
    'segment.jitter.ms': values.logRollJitterMs ?? values.logRollJitterHours * HOUR_MS,
    'flush.ms': values.logFlushIntervalMs ?? values.logFlushSchedulerIntervalMs,
  }
  const defaults: Record<string, string> = {}
  for (const [name, { serverDefault, type }] of Object.entries(topicSettings)) {
    if (serverDefault === null) continue
    const text = formatValue(type, derived[name] ?? all.get(serverDefault) ?? null)
    if (text !== null) defaults[name] = text
  }
  return defaults
}

function ignoredNames(given: ReadonlyMap<string, Given>): readonly IgnoredGroup[] {
  const groups = new Map<string, string[]>()
  for (const name of given.keys()) {
    const because = brokerSettings.get(name)?.ignored ?? passedOn(name)
    if (because === null) continue
    const names = groups.get(because)
    if (names === undefined) groups.set(because, [name])
    else names.push(name)
  }
  return [...groups].map(([because, names]) => ({ because, names }))
}

/** Puts in force what only the data directory knows (its node id), unless it was given already. */
export function giveIfMissing(config: BrokerConfig, name: string, given: Given): void {
  if (config.given.has(name)) return
  const layers = new Map(config.given).set(name, given)
  Object.assign(config, resolve(layers, config.dynamic, []))
}
