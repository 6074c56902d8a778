/**
 * The settings that a group may have of its own (GROUP resources), by the names of Kafka 4.3. Most have a broker setting of the
 * same meaning, which holds where a group says nothing, and bounds among the broker settings: `consumer.session.timeout.ms`
 * has `group.consumer.session.timeout.ms` and `group.consumer.min.session.timeout.ms`.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import {
  boolean,
  InvalidSettingError,
  ignored,
  oneOf,
  parseSetting,
  type Setting,
  string,
} from '../../segment-store/setting.ts'
import { type BrokerConfig, brokerSettings, effectiveText } from '../config.ts'
import type { Overrides } from './alter.ts'
import { boundOf } from './group-bounds.ts'

const SAME_AS_BROKERS = [
  'consumer.assignment.interval.ms',
  'consumer.heartbeat.interval.ms',
  'consumer.session.timeout.ms',
  'share.assignment.interval.ms',
  'share.delivery.count.limit',
  'share.heartbeat.interval.ms',
  'share.partition.max.record.locks',
  'share.record.lock.duration.ms',
  'share.session.timeout.ms',
  'streams.assignment.interval.ms',
  'streams.heartbeat.interval.ms',
  'streams.initial.rebalance.delay.ms',
  'streams.num.standby.replicas',
  'streams.session.timeout.ms',
]

const NO_SHARE_GROUPS = 'there are no share groups'

const own: ReadonlyMap<string, Setting> = new Map<string, Setting>([
  ['share.auto.offset.reset', ignored(NO_SHARE_GROUPS, string('latest'))],
  [
    'share.isolation.level',
    ignored(
      NO_SHARE_GROUPS,
      string('read_uncommitted', oneOf('read_committed', 'read_uncommitted')),
    ),
  ],
  ['share.renew.acknowledge.enable', ignored(NO_SHARE_GROUPS, boolean(true))],
])

/** The broker's setting of the same meaning; null for a setting that only groups have. */
export function brokerNameOf(name: string): string | null {
  return own.has(name) ? null : `group.${name}`
}

/** All settings of groups. */
export const groupConfigs: ReadonlyMap<string, Setting> = new Map([
  ...own,
  ...SAME_AS_BROKERS.map(name => [name, brokerSettings.get(`group.${name}`)!] as const),
])

/**
 * Whether these settings may be given to a group: `touched` are the names that are set now. What was stored earlier is not
 * looked at again: it may be outside of bounds that have changed since, and must not keep anybody from mending it.
 *
 * @throws INVALID_CONFIG, in the words of Kafka (GroupConfig)
 */
export function validateGroupConfigs(
  config: BrokerConfig,
  overrides: Overrides,
  touched: readonly string[],
): void {
  for (const name of touched) {
    const setting = groupConfigs.get(name)
    if (setting === undefined) throw invalid(`Unknown group config name: ${name}`)
    try {
      parseSetting(name, setting, overrides[name]!)
    } catch (error) {
      if (!(error instanceof InvalidSettingError)) throw error
      throw invalid(error.message)
    }
  }
  for (const name of touched) {
    const broken = brokenBound(config, name, Number(overrides[name]))
    if (broken === null) continue
    const word = broken.which === 'min' ? 'greater' : 'less'
    throw invalid(`${name} must be ${word} than or equal to ${broken.name}`)
  }
  for (const kind of KINDS) {
    const { session, heartbeat } = namesOf(kind)
    if (!touched.includes(session) && !touched.includes(heartbeat)) continue
    const ownOr = (name: string) => Number(overrides[name] ?? brokersOwn(config, name))
    if (ownOr(session) <= ownOr(heartbeat)) {
      throw invalid(`${session} must be greater than ${heartbeat}`)
    }
  }
}

const KINDS = ['consumer', 'share', 'streams'] as const

function namesOf(kind: (typeof KINDS)[number]) {
  return { session: `${kind}.session.timeout.ms`, heartbeat: `${kind}.heartbeat.interval.ms` }
}

interface Bound {
  readonly which: 'min' | 'max'
  /** Of the broker's setting, and its value. */
  readonly name: string
  readonly value: number
}

/** The bound of the broker's that a group's setting of this value is outside of; null for one within. */
function brokenBound(config: BrokerConfig, setting: string, value: number): Bound | null {
  for (const which of ['min', 'max'] as const) {
    const name = boundOf(setting, which)
    if (!brokerSettings.has(name)) continue
    const bound = Number(effectiveText(config, name))
    if (which === 'min' ? value < bound : value > bound) return { which, name, value: bound }
  }
  return null
}

function brokersOwn(config: BrokerConfig, name: string): string | null {
  return effectiveText(config, `group.${name}`)
}

function invalid(why: string): ProtocolError {
  return new ProtocolError('INVALID_CONFIG', why)
}

/**
 * What of a group's stored settings counts now, by name, and a sentence for each that does not count as it is stored:
 * bounds may have changed since it was set. Outside of them it counts as the bound, as in Kafka (GroupConfig.evaluate). Kafka
 * lets a session be shorter than its heartbeats then, which no member survives; here both are the broker's.
 */
export function groupConfigsInForce(
  config: BrokerConfig,
  stored: Overrides,
): { readonly values: ReadonlyMap<string, string>; readonly problems: readonly string[] } {
  const values = new Map<string, string>()
  const problems: string[] = []
  for (const [name, text] of Object.entries(stored)) {
    const problem = whyNoValue(name, text)
    const broken = problem === null ? brokenBound(config, name, Number(text)) : null
    if (problem !== null) problems.push(`${problem}: left out`)
    else values.set(name, String(broken?.value ?? text))
    if (broken === null) continue
    const than = `${broken.which === 'min' ? 'less' : 'more'} than ${broken.name}`
    const counts = `which is ${broken.value}: counts as ${broken.value}`
    problems.push(`${name}: ${text} is ${than}, ${counts}`)
  }
  for (const kind of KINDS) {
    const { session, heartbeat } = namesOf(kind)
    if (!values.has(session) && !values.has(heartbeat)) continue
    const ownOr = (name: string) => Number(values.get(name) ?? brokersOwn(config, name))
    const [sessionMs, heartbeatMs] = [ownOr(session), ownOr(heartbeat)]
    if (sessionMs > heartbeatMs) continue
    const contradiction = `${sessionMs} is not more than ${heartbeat}, which is ${heartbeatMs}`
    problems.push(`${session}: ${contradiction}: those of the broker count`)
    values.delete(session)
    values.delete(heartbeat)
  }
  return { values, problems }
}

function whyNoValue(name: string, text: string): string | null {
  const setting = groupConfigs.get(name)
  if (setting === undefined) return `${name}: there is no such setting of groups`
  try {
    parseSetting(name, setting, text)
    return null
  } catch (error) {
    if (!(error instanceof InvalidSettingError)) throw error
    return error.message
  }
}

/** How a consumer group counts time, in ms: by its own settings that are in force, or the broker's. */
export function timingOf(config: BrokerConfig, stored?: Overrides) {
  // Most groups have none, and each heartbeat asks.
  const values = stored === undefined ? null : groupConfigsInForce(config, stored).values
  const ownOr = (name: string, otherwise: number) => Number(values?.get(name) ?? otherwise)
  return {
    sessionTimeoutMs: ownOr('consumer.session.timeout.ms', config.groupConsumerSessionTimeoutMs),
    heartbeatIntervalMs: ownOr(
      'consumer.heartbeat.interval.ms',
      config.groupConsumerHeartbeatIntervalMs,
    ),
    assignmentIntervalMs: ownOr(
      'consumer.assignment.interval.ms',
      config.groupConsumerAssignmentIntervalMs,
    ),
  }
}
