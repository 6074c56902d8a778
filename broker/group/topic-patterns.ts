/**
 * Regular expressions that members subscribe by. The syntax is RE2's, as Kafka uses RE2/J; matching takes time linear in
 * the name, and compiling is bounded by the length that is allowed, so no client can hold up the broker. What a pattern
 * matches is remembered while the topics are the same.
 *
 * The library is loaded with the first pattern: it is a quarter of all code that a start would read, and few groups
 * subscribe by patterns.
 */
import { createRequire } from 'node:module'
import type { RE2JS } from 're2js'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ClusterImage, TopicImage } from '../metadata/image.ts'

/** Longer than any sensible list of alternatives, short enough to compile within a millisecond or so. */
export const MAX_PATTERN_LENGTH = 1024
const MAX_REMEMBERED = 256

interface Remembered {
  readonly compiled: RE2JS
  topics: ReadonlyMap<string, TopicImage> | null
  names: readonly string[]
}

export class TopicPatterns {
  private readonly byPattern = new Map<string, Remembered>()

  /** @throws INVALID_REGULAR_EXPRESSION, with what is wrong */
  check(pattern: string): void {
    this.remembered(pattern)
  }

  /** The names of all topics that match as a whole, in order. @throws INVALID_REGULAR_EXPRESSION */
  resolve(pattern: string, { topics }: ClusterImage): readonly string[] {
    const one = this.remembered(pattern)
    if (one.topics !== topics) {
      one.names = [...topics.keys()].filter(name => one.compiled.matches(name)).sort()
      one.topics = topics
    }
    return one.names
  }

  private remembered(pattern: string): Remembered {
    let one = this.byPattern.get(pattern)
    if (one !== undefined) return one
    if (pattern.length > MAX_PATTERN_LENGTH) {
      throw invalid(
        `SubscribedTopicRegex has ${pattern.length} characters; at most ${MAX_PATTERN_LENGTH} are allowed: subscribe by names or by a shorter expression.`,
      )
    }
    one = { compiled: compiled(pattern), topics: null, names: [] }
    const [oldest] = this.byPattern.keys()
    if (this.byPattern.size >= MAX_REMEMBERED && oldest !== undefined) this.byPattern.delete(oldest)
    this.byPattern.set(pattern, one)
    return one
  }
}

function compiled(pattern: string): RE2JS {
  try {
    const re2js = createRequire(import.meta.url)('re2js') as typeof import('re2js')
    return re2js.RE2JS.compile(pattern)
  } catch (error) {
    // As Kafka says it: without the library's own words around the fault.
    const said = error instanceof Error ? error.message : String(error)
    const why = said.replace(/^error parsing regexp: /, '').replace(/: `[\s\S]*`$/, '')
    throw invalid(`SubscribedTopicRegex \`${pattern}\` is not a valid regular expression: ${why}.`)
  }
}

function invalid(detail: string): ProtocolError {
  return new ProtocolError('INVALID_REGULAR_EXPRESSION', detail)
}
