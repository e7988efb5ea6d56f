# Who may do what. docs/cloud.md holds the same as a table, and a test compares the two.

locals {
  accounts = merge(
    {
      launcher = "Runs the workflow: starts jobs and watches them"
      worker   = "Runs on Dataflow: prepare, build, evaluate"
      trainer  = "Runs on Vertex AI: model.train"
      builder  = "Runs on Cloud Build: builds and pushes the images"
    },
    var.schedule == null ? {} : { scheduler = "Starts the workflow by the clock" },
    var.server == null ? {} : { server = "Runs on Cloud Run: answers searches" },
  )

  # "account on bucket" = role. objectUser reads, writes and deletes objects; it can't touch the
  # bucket or its policy.
  bucket_roles = merge(
    {
      "launcher on data"    = "roles/storage.objectViewer"
      "launcher on models"  = "roles/storage.objectViewer"
      "launcher on staging" = "roles/storage.objectViewer"
      "worker on raw"       = "roles/storage.objectViewer"
      "worker on data"      = "roles/storage.objectUser"
      "worker on models"    = "roles/storage.objectViewer"
      "worker on staging"   = "roles/storage.objectUser"
      "trainer on data"     = "roles/storage.objectViewer"
      "trainer on models"   = "roles/storage.objectUser"
      "builder on staging"  = "roles/storage.objectViewer"
    },
    var.server == null ? {} : {
      "server on data"   = "roles/storage.objectViewer"
      "server on models" = "roles/storage.objectViewer"
    },
  )

  # Roles that exist for a whole project only: none of them opens a bucket of another application,
  # but for dataflow.worker, without which Dataflow refuses an account.
  project_roles = merge(
    {
      "launcher logs"    = { account = "launcher", role = "roles/logging.logWriter" }
      "worker works"     = { account = "worker", role = "roles/dataflow.worker" }
      "worker looks"     = { account = "worker", role = "roles/dataflow.viewer" }
      "trainer logs"     = { account = "trainer", role = "roles/logging.logWriter" }
      "trainer measures" = { account = "trainer", role = "roles/monitoring.metricWriter" }
      "builder logs"     = { account = "builder", role = "roles/logging.logWriter" }
    },
    var.schedule == null ? {} : {
      "scheduler starts" = { account = "scheduler", role = "roles/workflows.invoker" }
    },
    var.server == null ? {} : {
      "server logs" = { account = "server", role = "roles/logging.logWriter" }
    },
  )

  registry_roles = {
    worker  = "roles/artifactregistry.reader"
    builder = "roles/artifactregistry.writer"
  }
}

resource "google_service_account" "this" {
  for_each = local.accounts

  account_id   = "${var.name}-${each.key}"
  project      = var.project_id
  display_name = "Babelear ${each.key}"
  description  = each.value

  depends_on = [google_project_service.this]
}

# In place of dataflow.developer and aiplatform.user, which may do much more.
resource "google_project_iam_custom_role" "launcher" {
  role_id     = "${replace(var.name, "-", "_")}_launcher"
  project     = var.project_id
  title       = "Babelear launcher"
  description = "Starts and watches Dataflow and Vertex AI jobs"
  stage       = "GA"

  permissions = [
    "aiplatform.customJobs.create",
    "aiplatform.customJobs.get",
    "dataflow.jobs.create",
    "dataflow.jobs.get",
    "dataflow.messages.list",
  ]
}

resource "google_project_iam_member" "launcher" {
  project = var.project_id
  role    = google_project_iam_custom_role.launcher.name
  member  = google_service_account.this["launcher"].member
}

resource "google_project_iam_member" "this" {
  for_each = local.project_roles

  project = var.project_id
  role    = each.value.role
  member  = google_service_account.this[each.value.account].member
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = local.bucket_roles

  bucket = google_storage_bucket.this[split(" on ", each.key)[1]].name
  role   = each.value
  member = google_service_account.this[split(" on ", each.key)[0]].member
}

resource "google_artifact_registry_repository_iam_member" "this" {
  for_each = local.registry_roles

  project    = var.project_id
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = each.value
  member     = google_service_account.this[each.key].member
}

# To start a job as an account is to be it: allowed for these two accounts, not for the project.
resource "google_service_account_iam_member" "launcher" {
  for_each = toset(["worker", "trainer"])

  service_account_id = google_service_account.this[each.key].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this["launcher"].member
}
