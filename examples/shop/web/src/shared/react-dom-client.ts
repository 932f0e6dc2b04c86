// SPDX-License-Identifier: Apache-2.0

export { createRoot, hydrateRoot } from "react-dom/client";
