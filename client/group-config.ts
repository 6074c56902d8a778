/** A group member's options: what each means, its default and its bounds. Kafka's names stand in the remarks. */
import { type Assignor, range, roundRobin } from './assignors.ts'
import { cooperativeSticky, sticky } from './assignors-sticky.ts'

export type AssignorName = 'range' | 'roundrobin' | 'sticky' | 'cooperative-sticky'

const ASSIGNORS = [range, roundRobin, sticky, cooperativeSticky]

export interface GroupOptions {
  /** The group whose members share the partitions of topics (group.id). Default: none; partitions are assigned by hand. */
  readonly groupId?: string | undefined
  /** A name that outlives a restart: its partitions wait for it for sessionTimeoutMs (group.instance.id). */
  readonly groupInstanceId?: string | undefined
  /** Names, or assignors of one's own, best first; all members need one in common (partition.assignment.strategy). Default: range. */
  readonly assignors?: readonly (AssignorName | Assignor)[] | undefined
  /** A member that is not heard of for so long is taken for dead (session.timeout.ms). Default: 45 s. */
  readonly sessionTimeoutMs?: number | undefined
  /** How often it is heard of, whatever the application does (heartbeat.interval.ms). Default: 3 s. */
  readonly heartbeatIntervalMs?: number | undefined
  /** How long the others wait for a member in a rebalance (max.poll.interval.ms). Default: 5 min. */
  readonly rebalanceTimeoutMs?: number | undefined
  /** Commit what the application is done with, without being asked (enable.auto.commit). Default: yes. */
  readonly autoCommit?: boolean | undefined
  /** How often (auto.commit.interval.ms). Default: 5 s. */
  readonly autoCommitIntervalMs?: number | undefined
}

export interface GroupConfig {
  readonly groupId: string
  readonly groupInstanceId: string | null
  readonly assignors: readonly Assignor[]
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly rebalanceTimeoutMs: number
  readonly autoCommit: boolean
  readonly autoCommitIntervalMs: number
}

/** Default and lowest value of each option that is a number. */
const NUMBERS = {
  sessionTimeoutMs: [45_000, 1],
  heartbeatIntervalMs: [3_000, 1],
  rebalanceTimeoutMs: [300_000, 1],
  autoCommitIntervalMs: [5_000, 1],
} as const satisfies { readonly [Name in keyof GroupOptions]?: readonly number[] }

/** Fills in the defaults; null without a group. What is wrong is added to `wrong`. */
export function resolveGroupConfig(options: GroupOptions, wrong: string[]): GroupConfig | null {
  const number = (name: keyof typeof NUMBERS): number => {
    const [otherwise, low] = NUMBERS[name]
    const value = options[name] ?? otherwise
    if (Number.isSafeInteger(value) && value >= low && value <= 0x7fffffff) return value
    wrong.push(`${name} is ${value}, not a whole number of at least ${low}`)
    return otherwise
  }
  const assignors: Assignor[] = []
  for (const given of options.assignors ?? [range]) {
    const assignor =
      typeof given === 'string' ? ASSIGNORS.find(({ name }) => name === given) : given
    if (assignor === undefined) {
      wrong.push(`assignor '${given}' is not one of ${ASSIGNORS.map(a => a.name).join(', ')}`)
    } else assignors.push(assignor)
  }
  if (assignors.length === 0) wrong.push('assignors is empty')
  const config: GroupConfig = {
    groupId: options.groupId ?? '',
    groupInstanceId: options.groupInstanceId ?? null,
    assignors,
    sessionTimeoutMs: number('sessionTimeoutMs'),
    heartbeatIntervalMs: number('heartbeatIntervalMs'),
    rebalanceTimeoutMs: number('rebalanceTimeoutMs'),
    autoCommit: options.autoCommit ?? true,
    autoCommitIntervalMs: number('autoCommitIntervalMs'),
  }
  if (config.heartbeatIntervalMs >= config.sessionTimeoutMs) {
    wrong.push('heartbeatIntervalMs is not less than sessionTimeoutMs')
  }
  if (options.groupId !== undefined) {
    if (config.groupId === '') wrong.push('groupId is empty')
    return config
  }
  const needy = (['groupInstanceId', 'assignors', 'autoCommit'] as const).filter(
    name => options[name] !== undefined,
  )
  if (needy.length > 0) wrong.push(`${needy.join(', ')} without groupId`)
  return null
}
