import { Link } from "wouter";
import { Page } from "../ui/page";

export function NotFoundPage({ what = "There is no page at this address." }: { what?: string }) {
  return (
    <Page title="Not found">
      <p className="card empty">
        {what} <Link href="/jobs">Show all jobs</Link>
      </p>
    </Page>
  );
}
