/**
 * What an application gives to a call, looked at before anything is done with it: TypeScript sees to most of it, programs in
 * JavaScript have only this. Every check throws an OptionError that says which argument is wrong, what it is, and what to give.
 */
import type { Attempt, CallOptions, Cluster } from './cluster.ts'
import { OptionError } from './errors.ts'
import { checkOptions, type Names, told } from './option-names.ts'
import { partitionKey, type TopicPartition } from './topic-partition.ts'

export const CALL: Names<CallOptions> = { timeoutMs: true, signal: true }

/** `what` is a list of things like `example`. */
export function checkList(given: unknown, what: string, example: string): void {
  if (!Array.isArray(given)) throw new OptionError(`${what} is ${told(given)}: give ${example}.`)
}

/** Some text, not empty. */
export function checkText(given: unknown, what: string, advice = 'give its name'): void {
  if (typeof given === 'string' && given !== '') return
  throw new OptionError(`${what} is ${given === '' ? 'empty' : told(given)}: ${advice}.`)
}

export function checkTexts(given: unknown, what: string, example: string): void {
  checkList(given, what, example)
  for (const one of given as readonly unknown[]) {
    checkText(one, `one of ${what}`, `give ${example}`)
  }
}

export function checkFunction(given: unknown, what: string, example: string): void {
  if (typeof given === 'function') return
  throw new OptionError(`${what} is ${told(given)}: give a function, such as ${example}.`)
}

/** A whole number: a partition, an offset, a node id. */
export function checkWhole(given: unknown, what: string, least = 0): void {
  if (Number.isSafeInteger(given) && (given as number) >= least) return
  throw new OptionError(`${what} is ${told(given)}: give a whole number of at least ${least}.`)
}

/** Options of one call, by their names; `timeoutMs` and `signal` also by their values. */
export function checkCall(
  options: CallOptions,
  names: Readonly<Record<string, true>>,
  call: string,
): void {
  checkOptions(options, names, call)
  const { timeoutMs, signal } = options
  const isTime = timeoutMs === undefined || (typeof timeoutMs === 'number' && timeoutMs >= 0)
  if (!isTime) {
    throw new OptionError(`${call}: timeoutMs is ${told(timeoutMs)}: give milliseconds.`)
  }
  if (signal === undefined || typeof signal?.addEventListener === 'function') return
  throw new OptionError(`${call}: signal is ${told(signal)}: give an AbortSignal.`)
}

/** `Cluster.run` for a call that has no options but those of every call, which are checked first. */
export async function runCall<T>(
  cluster: Cluster,
  what: string,
  options: CallOptions,
  attempt: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  checkCall(options, CALL, what)
  return cluster.run(what, options, attempt)
}

/** Things with a topic and a partition; `check` looks at the rest of each. */
export function checkPartitions<P>(
  given: readonly P[],
  what: string,
  check: (one: P, where: string) => void = () => {},
): void {
  checkList(given, what, '[{ topic, partition }]')
  for (const one of given) {
    if (typeof one !== 'object' || one === null) {
      throw new OptionError(`one of ${what} is ${told(one)}: give { topic, partition }.`)
    }
    const { topic, partition } = one as { readonly topic?: unknown; readonly partition?: unknown }
    checkText(topic, `topic in ${what}`)
    checkWhole(partition, `partition of topic '${topic}' in ${what}`)
    check(one, `topic '${topic}' partition ${partition}`)
  }
}

/** No partition twice. */
export function checkDistinct(given: readonly TopicPartition[], what: string): void {
  const seen = new Set<string>()
  for (const one of given) {
    if (seen.size < seen.add(partitionKey(one)).size) continue
    const where = `topic '${one.topic}' partition ${one.partition}`
    throw new OptionError(`${where} stands twice in ${what}: give each partition once.`)
  }
}

/** What the check throws, for calls that reject; null: nothing. */
export function caught(check: () => void): Error | null {
  try {
    check()
    return null
  } catch (error) {
    return error as Error
  }
}
