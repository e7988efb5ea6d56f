resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alerts.emails)

  project      = var.project_id
  display_name = "Babelear: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = local.labels

  depends_on = [google_project_service.this]
}

locals {
  channels = [for channel in google_monitoring_notification_channel.email : channel.name]

  alerts = {
    "job-failed" = {
      title  = "a Dataflow job failed"
      filter = "metric.type = \"dataflow.googleapis.com/job/is_failed\" AND resource.type = \"dataflow_job\""
      over   = 0
      hint   = "The job's page in the console holds its error. The workflow tries again as often as `workflow.retries` says; a later start of the same run keeps what was finished."
    }
    "job-endless" = {
      title  = "a Dataflow job takes longer than it should"
      filter = "metric.type = \"dataflow.googleapis.com/job/elapsed_time\" AND resource.type = \"dataflow_job\""
      over   = var.alerts.longest_job_hours * 3600
      hint   = "Look whether its counters still move. Cancel it if not; a later start of the same run keeps what was finished."
    }
    "workflow-failed" = {
      title  = "a workflow failed"
      filter = "metric.type = \"workflows.googleapis.com/finished_execution_count\" AND resource.type = \"workflows.googleapis.com/Workflow\" AND metric.labels.status = \"FAILED\" AND resource.labels.workflow_id = \"${var.name}\""
      over   = 0
      hint   = "The execution's page in the console names the stage, the job and its error. Training that failed shows here too."
    }
  }
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.alerts

  project               = var.project_id
  display_name          = "Babelear: ${each.value.title}"
  combiner              = "OR"
  severity              = each.key == "job-endless" ? "WARNING" : "ERROR"
  notification_channels = local.channels
  user_labels           = local.labels

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.over
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = each.key == "workflow-failed" ? "ALIGN_DELTA" : "ALIGN_MAX"
      }

      trigger {
        count = 1
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    content   = each.value.hint
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.this]
}
