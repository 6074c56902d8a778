/** A group member's options: what each means, its default and its bounds. Kafka's names stand in the remarks. */
import { type Assignor, roundRobin } from './assignors.ts'
import { range } from './assignors-range.ts'
import { cooperativeSticky, sticky } from './assignors-sticky.ts'
import { numberOptions } from './config.ts'
import { type Names, told } from './option-names.ts'

export type AssignorName = 'range' | 'roundrobin' | 'sticky' | 'cooperative-sticky'

const ASSIGNORS = [range, roundRobin, sticky, cooperativeSticky]

export interface GroupOptions {
  /** The group whose members share the partitions of topics (group.id). Default: none; partitions are assigned by hand. */
  readonly groupId?: string | undefined
  /** Who shares the partitions out: a member, by an assignor, or the coordinator (KIP-848; group.protocol). Default: classic. */
  readonly groupProtocol?: 'classic' | 'consumer' | undefined
  /** With groupProtocol consumer: the coordinator's assignor, uniform or range (group.remote.assignor). Default: its own first. */
  readonly serverAssignor?: string | undefined
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
  readonly protocol: 'classic' | 'consumer'
  readonly serverAssignor: string | null
  readonly rackId: string
  readonly groupInstanceId: string | null
  readonly assignors: readonly Assignor[]
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly rebalanceTimeoutMs: number
  readonly autoCommit: boolean
  readonly autoCommitIntervalMs: number
}

/** Default, lowest and highest value of each option that is a number. */
const NUMBERS = {
  sessionTimeoutMs: [45_000, 1, 0x7fffffff],
  heartbeatIntervalMs: [3_000, 1, 0x7fffffff],
  rebalanceTimeoutMs: [300_000, 1, 0x7fffffff],
  autoCommitIntervalMs: [5_000, 1, 0x7fffffff],
} as const satisfies { readonly [Name in keyof GroupOptions]?: readonly number[] }

export const GROUP_NAMES: Names<GroupOptions> = {
  groupId: true,
  groupProtocol: true,
  serverAssignor: true,
  groupInstanceId: true,
  assignors: true,
  sessionTimeoutMs: true,
  heartbeatIntervalMs: true,
  rebalanceTimeoutMs: true,
  autoCommit: true,
  autoCommitIntervalMs: true,
}

const NEEDY = ['groupProtocol', 'groupInstanceId', 'assignors', 'autoCommit'] as const
/** What the coordinator decides where it shares the partitions out. */
const CLASSIC_ONLY = ['assignors', 'sessionTimeoutMs', 'heartbeatIntervalMs'] as const

/** Fills in the defaults; null without a group. What is wrong is added to `wrong`. */
export function resolveGroupConfig(
  options: GroupOptions & { readonly rackId?: string | undefined },
  wrong: string[],
): GroupConfig | null {
  const numbers = numberOptions(NUMBERS, options, wrong)
  const assignors = assignorsOf(options.assignors ?? [range], wrong)
  const config: GroupConfig = {
    groupId: options.groupId ?? '',
    protocol: options.groupProtocol ?? 'classic',
    serverAssignor: options.serverAssignor ?? null,
    rackId: options.rackId ?? '',
    groupInstanceId: options.groupInstanceId ?? null,
    assignors,
    ...numbers,
    autoCommit: options.autoCommit ?? true,
  }
  checkProtocol(options, config, wrong)
  if (config.heartbeatIntervalMs >= config.sessionTimeoutMs) {
    wrong.push('heartbeatIntervalMs is not less than sessionTimeoutMs')
  }
  if (options.groupId !== undefined) {
    if (config.groupId === '') wrong.push('groupId is empty')
    return config
  }
  const needy = NEEDY.filter(name => options[name] !== undefined)
  if (needy.length > 0) wrong.push(`${needy.join(', ')} without groupId`)
  return null
}

function assignorsOf(given: readonly (AssignorName | Assignor)[], wrong: string[]): Assignor[] {
  const names = ASSIGNORS.map(({ name }) => name).join(', ')
  if (!Array.isArray(given)) {
    wrong.push(`assignors is ${told(given)}, not a list: give some of ${names}`)
    return []
  }
  const assignors: Assignor[] = []
  for (const one of given as readonly (AssignorName | Assignor)[]) {
    const found = typeof one === 'string' ? ASSIGNORS.find(({ name }) => name === one) : one
    const isAssignor = typeof found?.name === 'string' && typeof found.assign === 'function'
    if (isAssignor) assignors.push(found)
    else wrong.push(`assignor ${told(one)} is not one of ${names}, and not { name, assign }`)
  }
  if (given.length === 0) wrong.push('assignors is empty')
  return assignors
}

function checkProtocol(options: GroupOptions, { protocol }: GroupConfig, wrong: string[]): void {
  if (protocol !== 'classic' && protocol !== 'consumer') {
    wrong.push(`groupProtocol is ${told(protocol)}, not classic or consumer`)
  }
  if (protocol === 'consumer') {
    const given = CLASSIC_ONLY.filter(name => options[name] !== undefined)
    if (given.length > 0) wrong.push(`${given.join(', ')} with groupProtocol consumer`)
  } else if (options.serverAssignor !== undefined) {
    wrong.push('serverAssignor without groupProtocol consumer')
  }
}
