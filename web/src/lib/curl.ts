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

/** Logs in and puts the access token into `TOKEN`; the password is asked for, so that it stays out of the history. */
export function tokenCommand(origin: string, email: string): string {
  const body = quote(`{"email": "${email}", "password": "%s"}`);
  return [
    "read -rsp 'Password: ' PASSWORD",
    `TOKEN=$(printf ${body} "$PASSWORD" |`,
    `  curl -s ${origin}/v1/login -H 'Content-Type: application/json' -d @- |`,
    `  sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`,
  ].join("\n");
}
