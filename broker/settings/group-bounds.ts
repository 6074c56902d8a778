/**
 * Settings of groups that bound each other, by their names: `group.consumer.session.timeout.ms` lies between
 * `group.consumer.min.session.timeout.ms` and `group.consumer.max.session.timeout.ms`, and so do those of share and streams
 * groups. Kafka refuses to start with others (GroupCoordinatorConfig, ShareGroupConfig). That the shortest session of
 * classic groups is not above the longest is checked here only: Kafka starts, and then nobody can join.
 */
import type { SettingValue } from '../../segment-store/setting.ts'

type Values = ReadonlyMap<string, SettingValue>

/** The setting that bounds a group's own one from below or above; there need not be one of this name. */
export function boundOf(name: string, which: 'min' | 'max'): string {
  const [kind = '', ...rest] = name.split('.')
  // The one whose bound has another name.
  const what = name === 'streams.num.standby.replicas' ? 'standby.replicas' : rest.join('.')
  return `group.${kind}.${which}.${what}`
}

/** Adds a sentence for every two settings that contradict each other: both, their values, and what to do. */
export function checkGroupBounds(values: Values, problems: string[]): void {
  for (const name of values.keys()) {
    const own = /^group\.((?:consumer|share|streams)\.(?!min\.|max\.).+)$/.exec(name)?.[1]
    if (own !== undefined) checkBounded(values, name, own, problems)
  }
  checkOrder(values, 'group.min.session.timeout.ms', 'group.max.session.timeout.ms', problems)
  for (const kind of ['consumer', 'share', 'streams']) {
    const [session, heartbeat] = [
      `group.${kind}.session.timeout.ms`,
      `group.${kind}.heartbeat.interval.ms`,
    ]
    if (!isAbove(values, heartbeat, session) && values.get(heartbeat) !== values.get(session)) {
      continue
    }
    problems.push(
      `${heartbeat}: ${values.get(heartbeat)} is not less than ${session}, which is ${values.get(session)}; members would be out before they are heard of: lower the one or raise the other`,
    )
  }
}

function checkBounded(values: Values, name: string, own: string, problems: string[]): void {
  const [min, max] = [boundOf(own, 'min'), boundOf(own, 'max')]
  if (isAbove(values, min, max)) return checkOrder(values, min, max, problems)
  if (isAbove(values, min, name)) {
    problems.push(
      `${name}: ${values.get(name)} is less than ${min}, which is ${values.get(min)}; raise the one or lower the other`,
    )
  }
  if (isAbove(values, name, max)) {
    problems.push(
      `${name}: ${values.get(name)} is more than ${max}, which is ${values.get(max)}; lower the one or raise the other`,
    )
  }
}

function checkOrder(values: Values, min: string, max: string, problems: string[]): void {
  if (!isAbove(values, min, max)) return
  problems.push(
    `${min}: ${values.get(min)} is more than ${max}, which is ${values.get(max)}; lower the one or raise the other`,
  )
}

/** Whether both are there and the first is the larger one. */
function isAbove(values: Values, name: string, other: string): boolean {
  return Number(values.get(name) ?? Number.NaN) > Number(values.get(other) ?? Number.NaN)
}
