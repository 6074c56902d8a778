/**
 * Java's `.properties` format, in which brokers are configured:
 *
 *   # comment            ! comment
 *   key=value            key: value           key value
 *   list=a,\             a backslash at the end continues on the next line, whose leading blanks do not count
 *        b
 *   path=C:\\data        \t \n \r \f \uXXXX, and a backslash before anything else is that character
 *
 * Of a key that occurs twice, the last value counts.
 */

/** Reads the text; what is no valid escape is kept as it stands, for nothing else in this format can be wrong. */
export function parseProperties(text: string): Map<string, string> {
  const entries = new Map<string, string>()
  for (const line of logicalLines(text)) {
    // The key ends at the first separator that is not escaped.
    const match = /^((?:\\.|[^\\:=\s])*)(?:\s*[:=]\s*|\s+|$)/s.exec(line)
    const key = match?.[1] ?? line
    const value = match === null ? '' : line.slice(match[0].length)
    entries.set(withoutEscapes(key), withoutEscapes(value))
  }
  return entries
}

/** Lines with continuations joined, without comments and blank lines. */
function logicalLines(text: string): string[] {
  const lines: string[] = []
  let pending: string | null = null
  for (const raw of text.split(/\r\n|\n|\r/)) {
    const line = raw.trimStart()
    if (pending === null && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue
    const whole: string = (pending ?? '') + line
    const backslashes = /\\*$/.exec(line)?.[0].length ?? 0
    if (backslashes % 2 === 1) pending = whole.slice(0, -1)
    else {
      lines.push(whole)
      pending = null
    }
  }
  if (pending !== null) lines.push(pending)
  return lines
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function withoutEscapes(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/gs, (_, hex?: string, letter = '') =>
    hex === undefined ? (ESCAPES[letter] ?? letter) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
