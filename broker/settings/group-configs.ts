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

/** @throws INVALID_CONFIG, in the words of Kafka (GroupConfig) */
export function validateGroupConfigs(config: BrokerConfig, overrides: Overrides): void {
  for (const [name, text] of Object.entries(overrides)) {
    const setting = groupConfigs.get(name)
    if (setting === undefined) throw invalid(`Unknown group config name: ${name}`)
    try {
      parseSetting(name, setting, text)
    } catch (error) {
      if (!(error instanceof InvalidSettingError)) throw error
      throw invalid(error.message)
    }
  }
  for (const [name, text] of Object.entries(overrides)) {
    const [min, max] = [boundOf(name, 'min'), boundOf(name, 'max')]
    if (Number(text) < brokerNumber(config, min, Number.NEGATIVE_INFINITY)) {
      throw invalid(`${name} must be greater than or equal to ${min}`)
    }
    if (Number(text) > brokerNumber(config, max, Number.POSITIVE_INFINITY)) {
      throw invalid(`${name} must be less than or equal to ${max}`)
    }
  }
  for (const kind of ['consumer', 'share', 'streams']) {
    const session = `${kind}.session.timeout.ms`
    const heartbeat = `${kind}.heartbeat.interval.ms`
    if (!Object.hasOwn(overrides, session) && !Object.hasOwn(overrides, heartbeat)) continue
    const ownOr = (name: string) =>
      Number(overrides[name] ?? effectiveText(config, `group.${name}`))
    if (ownOr(session) <= ownOr(heartbeat)) {
      throw invalid(`${session} must be greater than ${heartbeat}`)
    }
  }
}

function brokerNumber(config: BrokerConfig, name: string, otherwise: number): number {
  return brokerSettings.has(name) ? Number(effectiveText(config, name)) : otherwise
}

function invalid(why: string): ProtocolError {
  return new ProtocolError('INVALID_CONFIG', why)
}

/** How a consumer group counts time, in ms: by its own settings, or the broker's. */
export function timingOf(config: BrokerConfig, overrides: Overrides = {}) {
  const ownOr = (name: string, otherwise: number) => Number(overrides[name] ?? otherwise)
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
