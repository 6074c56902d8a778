/**
 * What a load test does, as data: a file in YAML or JSON, or one of the named ones. Everything has a default, so that a
 * workload says only what is special about it.
 */
import { parseDocument, stringify } from 'yaml'
import { type CodecName, codecs } from '../protocol/compression.ts'
import { HEADER_BYTES } from './payload.ts'

/** Every record of this size, or evenly from one size to another. Bytes of the value. */
export type Size = number | { readonly min: number; readonly max: number }

export interface Step {
  /** Records a second of all producers together; `max`: as many as the cluster takes. */
  readonly rate: number | 'max'
  readonly seconds: number
}

export interface Pause {
  /** After the warm-up. */
  readonly atSeconds: number
  readonly seconds: number
}

const GROUP_PROTOCOLS = ['classic', 'consumer', 'none'] as const

export interface Workload {
  readonly name: string
  readonly description: string
  readonly topics: number
  /** Of each topic. */
  readonly partitions: number
  readonly replicationFactor: number
  readonly topicConfigs: Readonly<Record<string, string>>
  readonly recordBytes: Size
  /** The part of a value that repeats itself, 0 to 1: about what a codec can take away. */
  readonly compressibility: number
  /** How many keys there are; 0: records without a key. */
  readonly keys: number
  /** uniform: all alike; zipf: the first key a hundred times as often as the hundredth. */
  readonly keyDistribution: 'uniform' | 'zipf'
  readonly compression: CodecName
  readonly acks: 'all' | 1 | 0
  /** Default: yes with acks=all, as in Kafka's clients. */
  readonly idempotent: boolean
  readonly lingerMs: number
  readonly batchBytes: number
  readonly producers: number
  /** Groups that each read everything; 0: nothing is read, and records are not checked. */
  readonly groups: number
  readonly consumersPerGroup: number
  /** Who shares out the partitions of a group: its leader, the coordinator (KIP-848), or nobody: then they are fixed. */
  readonly groupProtocol: (typeof GROUP_PROTOCOLS)[number]
  readonly warmupSeconds: number
  readonly steps: readonly Step[]
  /** When consumers stop reading, to build a backlog. */
  readonly pauses: readonly Pause[]
  /** When one consumer of each group leaves it, to come back: two rebalances each. */
  readonly restarts: readonly Pause[]
  /**
   * Records on their way in each producer process; beyond it the schedule falls behind, which latencies show. With very many
   * the client is busy collecting garbage: 100,000 double what a record costs it.
   */
  readonly maxOutstanding: number
}

export const DEFAULTS: Workload = {
  name: 'unnamed',
  description: '',
  topics: 1,
  partitions: 6,
  replicationFactor: 1,
  topicConfigs: {},
  recordBytes: 100,
  compressibility: 0.5,
  keys: 0,
  keyDistribution: 'uniform',
  compression: 'none',
  acks: 'all',
  idempotent: true,
  lingerMs: 1,
  batchBytes: 16_384,
  producers: 1,
  groups: 1,
  consumersPerGroup: 1,
  groupProtocol: 'classic',
  warmupSeconds: 5,
  steps: [{ rate: 10_000, seconds: 30 }],
  pauses: [],
  restarts: [],
  maxOutstanding: 10_000,
}

/** A workload that makes no sense; the message lists all that is wrong with it. */
export class WorkloadError extends Error {
  override readonly name = 'UsageError'
}

type Fields = Readonly<Record<string, unknown>>

/** Lowest and highest value of each whole number. */
const NUMBERS = {
  topics: [1, 10_000],
  partitions: [1, 100_000],
  replicationFactor: [1, 100],
  keys: [0, 100_000_000],
  lingerMs: [0, 60_000],
  batchBytes: [128, 1_073_741_824],
  producers: [1, 1_000],
  groups: [0, 100],
  consumersPerGroup: [1, 1_000],
  warmupSeconds: [0, 86_400],
  maxOutstanding: [1, 10_000_000],
} as const satisfies { readonly [Name in keyof Workload]?: readonly [number, number] }

const CHOICES: { readonly [Name in keyof Workload]?: readonly unknown[] } = {
  keyDistribution: ['uniform', 'zipf'],
  groupProtocol: GROUP_PROTOCOLS,
  compression: Object.keys(codecs),
  acks: ['all', 1, 0],
  idempotent: [true, false],
}

const RECORD_BYTES_MAX = 64 * 1024 * 1024

/** Reads YAML, of which JSON is a part. @throws WorkloadError */
export function parseWorkload(text: string, where: string): Workload {
  const document = parseDocument(text)
  const [error] = document.errors
  if (error !== undefined) {
    const [said = ''] = error.message.split('\n')
    throw new WorkloadError(`${where}: ${said.replace(/:$/, '')}.`)
  }
  let given: unknown
  try {
    given = document.toJS() as unknown
  } catch (trouble) {
    throw new WorkloadError(`${where}: ${(trouble as Error).message}.`)
  }
  return workloadOf(given, where)
}

/** As a file of YAML, which `parseWorkload` reads. */
export function workloadText(workload: Workload): string {
  return stringify(workload)
}

/** Fills in defaults. @throws WorkloadError */
export function workloadOf(given: unknown, where: string): Workload {
  if (!isFields(given)) throw new WorkloadError(`${where} is no workload: it has no fields.`)
  const wrong: string[] = []
  const unknown = Object.keys(given).filter(name => !Object.hasOwn(DEFAULTS, name))
  if (unknown.length > 0) {
    const known = Object.keys(DEFAULTS).join(', ')
    wrong.push(`it has no ${unknown.join(', ')}; there are ${known}`)
  }
  const idempotent = (given['acks'] ?? DEFAULTS.acks) === 'all'
  const workload: Workload = { ...DEFAULTS, idempotent, ...given }
  for (const [name, [low, high]] of Object.entries(NUMBERS)) {
    const value = (workload as unknown as Fields)[name]
    if (isWhole(value, low, high)) continue
    wrong.push(`${name} is ${shown(value)}, no whole number from ${low} to ${high}`)
  }
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = (workload as unknown as Fields)[name]
    if (!choices.includes(value))
      wrong.push(`${name} is ${shown(value)}, not ${choices.join(', ')}`)
  }
  checkShapes(workload, wrong)
  if (wrong.length > 0) throw new WorkloadError(`${where}: ${wrong.join('; ')}.`)
  return workload
}

/** As it would stand in a file of JSON. */
function shown(value: unknown): string {
  return JSON.stringify(value) ?? 'missing'
}

function checkShapes(workload: Workload, wrong: string[]): void {
  checkTexts(workload, wrong)
  const { recordBytes, compressibility, steps, topicConfigs } = workload
  const [min, max] = isFields(recordBytes)
    ? [recordBytes.min, recordBytes.max]
    : [recordBytes, recordBytes]
  const sizes = [min, max].every(size => isWhole(size, HEADER_BYTES, RECORD_BYTES_MAX))
  if (!sizes || (min as number) > (max as number)) {
    wrong.push(
      `recordBytes is ${shown(recordBytes)}, no size or { min, max } from ${HEADER_BYTES} (what the checks need) to ${RECORD_BYTES_MAX}`,
    )
  }
  if (typeof compressibility !== 'number' || !(compressibility >= 0 && compressibility <= 1)) {
    wrong.push(`compressibility is ${shown(compressibility)}, no number from 0 to 1`)
  }
  checkList('steps', steps, { rate: notRate, seconds: notPositive }, wrong)
  if (Array.isArray(steps) && steps.length === 0) wrong.push('steps is an empty list')
  for (const name of ['pauses', 'restarts'] as const) {
    const list = workload[name]
    const isWell = checkList(name, list, { atSeconds: notPositive, seconds: notPositive }, wrong)
    if (isWell && list.some(one => one.atSeconds + one.seconds > secondsOf(steps))) {
      wrong.push(`${name} go on when the steps are over`)
    }
  }
  const isText = isFields(topicConfigs) && Object.values(topicConfigs).every(isScalar)
  if (!isText) wrong.push('topicConfigs is no list of settings')
  if (workload.groupProtocol === 'none' && workload.restarts.length > 0) {
    wrong.push('restarts need groups: groupProtocol is none')
  }
  if (workload.acks === 0 && workload.idempotent) wrong.push('idempotent needs acks')
}

/** Of such names, with what a run adds, names of topics and groups are made. */
export function isName(value: unknown): boolean {
  return typeof value === 'string' && /^[\w.-]{1,200}$/.test(value)
}

function checkTexts({ name, description }: Workload, wrong: string[]): void {
  if (!isName(name)) {
    wrong.push(`name is ${shown(name)}, not of letters, digits, '.', '_' and '-', 200 at most`)
  }
  if (typeof description !== 'string') wrong.push(`description is ${shown(description)}, no text`)
}

/** Whether all is well with a list of which each entry has just these fields. */
function checkList(
  name: string,
  list: unknown,
  fields: Readonly<Record<string, (value: unknown) => string | null>>,
  wrong: string[],
): boolean {
  const known = Object.keys(fields)
  const shape = `{ ${known.join(', ')} }`
  if (!Array.isArray(list)) {
    wrong.push(`${name} is no list of ${shape}`)
    return false
  }
  const before = wrong.length
  for (const [i, one] of list.entries()) {
    const which = `${name}, number ${i + 1}`
    if (!isFields(one)) {
      wrong.push(`${which} is ${shown(one)}, not ${shape}`)
      continue
    }
    const unknown = Object.keys(one).filter(field => !known.includes(field))
    if (unknown.length > 0) wrong.push(`${which} has ${unknown.join(', ')}; there are ${shape}`)
    for (const [field, troubleOf] of Object.entries(fields)) {
      const trouble = troubleOf(one[field])
      if (trouble !== null) wrong.push(`${which}: ${field} is ${shown(one[field])}, ${trouble}`)
    }
  }
  return wrong.length === before
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isScalar(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}

function isWhole(value: unknown, low: number, high: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high
}

const notPositive = (value: unknown): string | null =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? null : 'no number above 0'

const notRate = (value: unknown): string | null =>
  value === 'max' || notPositive(value) === null ? null : "no number above 0, nor 'max'"

/** How long all steps take together; 0 where they are none. */
export function secondsOf(steps: unknown): number {
  const list = Array.isArray(steps) ? (steps as Step[]) : []
  return list.reduce((sum, step) => sum + (step?.seconds ?? 0), 0)
}

/** More processes than that would measure the machine. */
const PROCESSES_MAX = 64

/**
 * With as many producers, and consumers of all groups together, as there are to be processes of each: fewer could not fill
 * them. A group has at most as many consumers as partitions, since others would have nothing to read.
 */
export function withMembers(workload: Workload, processes: number): Workload {
  const { producers, groups, consumersPerGroup, topics, partitions } = workload
  const members = Math.min(processes, PROCESSES_MAX)
  const perGroup = Math.min(Math.ceil(members / Math.max(1, groups)), topics * partitions)
  return {
    ...workload,
    producers: Math.max(producers, members),
    consumersPerGroup: Math.max(consumersPerGroup, perGroup),
  }
}

/** The mean size of a value, in bytes. */
export function meanBytes({ recordBytes }: Workload): number {
  return typeof recordBytes === 'number' ? recordBytes : (recordBytes.min + recordBytes.max) / 2
}
