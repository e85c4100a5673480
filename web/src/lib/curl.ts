/** Quotes for a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The same submission as a command; the token comes from the shell's `TOKEN`. */
export function submitCommand(origin: string, body: string): string {
  return [
    `curl ${origin}/v1/jobs`,
    '-H "Authorization: Bearer $TOKEN"',
    "-H 'Content-Type: application/json'",
    `-d ${quote(body)}`,
  ].join(" \\\n  ");
}

/** Logs in and puts the access token into `TOKEN`. */
export function tokenCommand(origin: string, email: string): string {
  const body = JSON.stringify({ email, password: "YOUR PASSWORD" });
  return [
    `TOKEN=$(curl -s ${origin}/v1/login`,
    "-H 'Content-Type: application/json'",
    `-d ${quote(body)} |`,
  ]
    .join(" \\\n  ")
    .concat(`\n  sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`);
}
