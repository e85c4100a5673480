import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactNode } from "react";
import { Toasts } from "../ui/toasts";

/** A page as it stands in the application, with a cache of its own that tries nothing twice. */
export function renderPage(page: ReactNode, path = "/") {
  history.replaceState(null, "", path);
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return render(
    <QueryClientProvider client={client}>
      {page}
      <Toasts />
    </QueryClientProvider>,
  );
}
